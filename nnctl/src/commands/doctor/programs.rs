//! The programs: whether they are there, and of one build. Pure.

use std::path::PathBuf;

use super::facts::{Answer, Facts};
use super::finding::Finding;

const TOGETHER: &str =
    "install all programs from one build; they speak with each other in one version only";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let nnctl = format!("{}, {}", version(), facts.programs.nnctl.display());
    let mut found = vec![Finding::ok("programs.nnctl", nnctl), daemon(facts)];
    let programs = &facts.programs;
    found.extend(built(facts, "programs.worker", programs.worker.as_ref()));
    found.extend(built(facts, "programs.relay", programs.relay.as_ref()));
    found.extend(built(facts, "programs.dialer", programs.dialer.as_ref()));
    found.extend(spawner(facts));
    found.extend(running(facts));
    found
}

const fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn daemon(facts: &Facts) -> Finding {
    const ID: &str = "programs.daemon";
    match &facts.programs.daemon {
        None if matches!(facts.answer, Answer::None(_)) => Finding::problem(
            ID,
            "nn-daemon is neither beside nnctl nor on PATH",
            "install it, or name it by --daemon",
        ),
        None => Finding::unknown(ID, "nn-daemon is neither beside nnctl nor on PATH"),
        Some((path, Err(why))) => Finding::problem(
            ID,
            format!("{} does not tell its version: {why}", path.display()),
            TOGETHER,
        ),
        Some((path, Ok(theirs))) if theirs != version() => Finding::problem(
            ID,
            format!("{} is {theirs}, nnctl {}", path.display(), version()),
            TOGETHER,
        ),
        Some((path, Ok(theirs))) => Finding::ok(ID, format!("{theirs}, {}", path.display())),
    }
}

/// A build that the daemon knows is of more use than a version: it changes with every frame.
fn built(
    facts: &Facts,
    id: &str,
    program: Option<&(PathBuf, Result<String, String>)>,
) -> Option<Finding> {
    let (path, build) = program?;
    let path = path.display();
    Some(match (build, facts.status()) {
        (Err(why), _) => Finding::problem(
            id,
            format!("{path} does not tell its build: {why}"),
            TOGETHER,
        ),
        (Ok(build), Some(status)) if *build != status.build_id => Finding::problem(
            id,
            format!(
                "{path} is of build {build}, the daemon that runs of {}",
                status.build_id
            ),
            "start the daemon again, so that both are of one installation",
        ),
        (Ok(build), _) => Finding::ok(id, format!("build {build}, {path}")),
    })
}

fn spawner(facts: &Facts) -> Option<Finding> {
    const ID: &str = "programs.spawner";
    let (path, runs) = facts.programs.spawner.as_ref()?;
    let path = path.display();
    Some(if *runs {
        Finding::ok(ID, path.to_string())
    } else {
        Finding::problem(
            ID,
            format!("{path} cannot be run by this user"),
            "chmod 755 it",
        )
    })
}

/// Whether the daemon that answers is the one that is installed.
fn running(facts: &Facts) -> Option<Finding> {
    const ID: &str = "programs.running";
    let status = facts.status()?;
    if status.version != version() {
        let found = format!(
            "the daemon that runs is {}, nnctl {}",
            status.version,
            version()
        );
        return Some(Finding::problem(
            ID,
            found,
            "start the daemon again after an installation (systemctl restart nn-daemon)",
        ));
    }
    let program = facts.process.as_ref().and_then(|p| p.program.as_deref());
    Some(match program {
        Some(program) if program.ends_with(" (deleted)") => Finding::warning(
            ID,
            "the daemon runs from a program that has been replaced or removed since",
            "start it again (systemctl restart nn-daemon)",
        ),
        Some(program) => Finding::ok(ID, format!("{}, from {program}", status.version)),
        None => Finding::ok(ID, status.version.clone()),
    })
}
