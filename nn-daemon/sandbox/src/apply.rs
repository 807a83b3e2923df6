//! Executes steps in order and stops at the first that fails: a half-built jail is none.

use std::io;

use crate::plan::Step;
use crate::step::{allocator, capabilities, landlock, limits, process, root, seccomp};

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("the jail could not be built; at the step {step:?}, {call} failed")]
pub struct ApplyError {
    /// As it is printed.
    pub step: String,
    /// What the kernel refused.
    pub call: &'static str,
    /// How.
    #[source]
    pub source: io::Error,
}

/// What a step reports: the call that failed, and how.
pub(crate) type StepResult = Result<(), (&'static str, io::Error)>;

/// Names the call that an error comes from.
pub(crate) fn failed<E: Into<io::Error>>(
    call: &'static str,
) -> impl FnOnce(E) -> (&'static str, io::Error) {
    move |error| (call, error.into())
}

/// Does all of it. Of a process with one thread, but for the seal.
///
/// # Errors
/// At the first step that fails. The process must then end: some of its walls are up, not all.
pub fn apply(steps: &[Step]) -> Result<(), ApplyError> {
    let each = |step: &Step| execute(step).map_err(failed_step(step));
    steps.iter().try_for_each(each)
}

/// Names the step that an error comes from.
pub(crate) fn failed_step(
    step: &impl ToString,
) -> impl FnOnce((&'static str, io::Error)) -> ApplyError {
    move |(call, source)| ApplyError {
        step: step.to_string(),
        call,
        source,
    }
}

fn execute(step: &Step) -> StepResult {
    match step {
        Step::Allocator => allocator::one_arena(),
        Step::Root { binds, sealed, uid } => root::build(binds, sealed, *uid),
        Step::Bounding => capabilities::bound(),
        Step::Become(uid) => process::become_user(*uid),
        Step::Landlock(paths) => landlock::restrict(paths),
        Step::Limit(limit, max) => limits::set(*limit, *max),
        Step::Capabilities => capabilities::drop_all(),
        Step::NoNewPrivs => process::no_new_privs(),
        Step::NotDumpable => process::not_dumpable(),
        Step::PlainFaults => process::plain_faults(),
        Step::Answers(filter) => seccomp::install(filter),
        Step::Seccomp(filter) => seccomp::install(filter),
    }
}
