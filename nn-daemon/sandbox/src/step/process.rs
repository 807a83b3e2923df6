//! What a process is: who, with which rights to come, seen by whom, ended by what.
#![expect(unsafe_code, reason = "resetting signal handlers")]

use std::fs;

use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::apply::{StepResult, failed};

/// Becomes that user and group, and of no other group. Who may not drop the groups it came with (an
/// unprivileged user who made the namespace) keeps them; they count for nothing that is in the root.
pub(crate) fn become_user(uid: u32) -> StepResult {
    let denied = fs::read_to_string("/proc/self/setgroups").is_ok_and(|word| word.trim() == "deny");
    if !denied {
        setgroups(&[]).map_err(failed("setgroups"))?;
    }
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setresgid(group, group, group).map_err(failed("setresgid"))?;
    setresuid(user, user, user).map_err(failed("setresuid"))?;
    // Which a change of uid has just taken back.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(failed("prctl(PR_SET_PDEATHSIG)"))
}

/// No more rights by exec, for good.
pub(crate) fn no_new_privs() -> StepResult {
    prctl::set_no_new_privs().map_err(failed("prctl(PR_SET_NO_NEW_PRIVS)"))
}

/// No core file, no ptrace, and /proc/PID belongs to root.
pub(crate) fn not_dumpable() -> StepResult {
    prctl::set_dumpable(false).map_err(failed("prctl(PR_SET_DUMPABLE)"))
}

/// The standard library catches SIGSEGV and SIGBUS to tell a stack overflow from others; its handler makes
/// calls that the filter does not allow, and a crash would look like a violation.
pub(crate) fn plain_faults() -> StepResult {
    for fault in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: SIG_DFL is no handler of ours, so nothing of ours runs when the signal comes.
        unsafe { signal(fault, SigHandler::SigDfl) }.map_err(failed("sigaction"))?;
    }
    Ok(())
}
