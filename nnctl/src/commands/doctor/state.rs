//! The state directory. Pure.

use super::facts::{DirFound, Facts};
use super::finding::Finding;
use crate::output::bytes;

/// Below this, the next model may not fit.
const FREE_LOW_BYTES: u64 = 1 << 30;
/// Below this, not even what the daemon notes for itself is sure to.
const FREE_MIN_BYTES: u64 = 64 << 20;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "state.directory";
    let Some(dir) = &facts.state_dir else {
        return vec![Finding::unknown(
            ID,
            "neither a daemon nor its configuration tells where it is",
        )];
    };
    let path = dir.path.display();
    let (owner, free) = match &dir.found {
        DirFound::Absent if facts.status().is_some() => {
            return vec![Finding::problem(
                ID,
                format!("{path} is gone; loaded models would be lost with the next restart"),
                "start the daemon again, and load the models again",
            )];
        }
        DirFound::Absent => {
            return vec![Finding::ok(
                ID,
                format!("{path} is not there yet: the daemon makes it"),
            )];
        }
        DirFound::Failed(why) => {
            return vec![Finding::unknown(
                ID,
                format!("{path} cannot be looked at: {why}"),
            )];
        }
        DirFound::Other => {
            return vec![Finding::problem(
                ID,
                format!("{path} is no directory"),
                "move it away, or name another by state_dir",
            )];
        }
        DirFound::Dir { owner, free_bytes } => (owner, *free_bytes),
    };
    let uid = facts.process.as_ref().and_then(|process| process.uid);
    let directory = match uid {
        Some(uid) if uid != owner.id && uid != 0 => Finding::problem(
            ID,
            format!(
                "{path} belongs to {}, the daemon runs as uid {uid}",
                owner.name
            ),
            format!("chown -R {uid} it"),
        ),
        Some(_) | None => Finding::ok(ID, format!("{path}, of {}", owner.name)),
    };
    vec![directory, space(free)]
}

fn space(free: u64) -> Finding {
    const ID: &str = "state.space";
    const ADVICE: &str =
        "nnctl unload versions that nobody uses, or move state_dir to a larger file system";
    let found = format!("{} free", bytes(free));
    match free {
        FREE_LOW_BYTES.. => Finding::ok(ID, found),
        FREE_MIN_BYTES.. => Finding::warning(ID, found, ADVICE),
        _ => Finding::problem(ID, found, ADVICE),
    }
}
