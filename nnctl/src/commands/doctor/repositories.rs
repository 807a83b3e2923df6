//! The directories of models that the configuration names: there, and open to the daemon's user. By owner, group and
//! mode: what access lists add is not seen. Pure.

use super::facts::{Facts, Repository, RepositoryGap, Service, Step, User};
use super::finding::Finding;
use crate::output::count;

/// What the unit hides from the daemon, by ProtectHome= and PrivateTmp=.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

const READ: u32 = 0o4;
const ENTER: u32 = 0o1;

pub(super) fn check(facts: &Facts) -> Option<Finding> {
    const ID: &str = "configuration.repositories";
    const ADVICE: &str = "make it, or let the daemon's user read it (`sudo -u nn-daemon ls DIR` tries), or take it out of \
                          model_repository; then systemctl reload nn-daemon";
    if facts.repositories.is_empty() {
        return None;
    }
    let mut wrong = Vec::new();
    let mut untold = Vec::new();
    for repository in &facts.repositories {
        match judge(facts, repository) {
            Verdict::Well => {}
            Verdict::Wrong(why) => wrong.push(why),
            Verdict::Untold(why) => untold.push(why),
        }
    }
    let all = u64::try_from(facts.repositories.len()).unwrap_or(u64::MAX);
    Some(if !wrong.is_empty() {
        Finding::warning(ID, wrong.join("; "), ADVICE)
    } else if !untold.is_empty() {
        Finding::unknown(ID, untold.join("; "))
    } else {
        Finding::ok(ID, format!("{}, readable", count(all, "model repository")))
    })
}

enum Verdict {
    Well,
    Wrong(String),
    /// This user cannot tell.
    Untold(String),
}

fn judge(facts: &Facts, repository: &Repository) -> Verdict {
    let path = repository.path.display();
    if is_service(facts) && HIDDEN.iter().any(|top| repository.path.starts_with(top)) {
        return Verdict::Wrong(format!("{path} is where nn-daemon.service sees nothing"));
    }
    let steps = match &repository.steps {
        Ok(steps) => steps,
        Err(RepositoryGap::Absent) => return Verdict::Wrong(format!("{path} is not there")),
        Err(RepositoryGap::Other) => return Verdict::Wrong(format!("{path} is no directory")),
        Err(RepositoryGap::Failed(why)) => {
            return Verdict::Untold(format!("{path} cannot be looked at: {why}"));
        }
    };
    let Some(user) = &facts.daemon_user else {
        return Verdict::Untold(format!("{path} is there; who is to read it is not known"));
    };
    let last = steps.len().saturating_sub(1);
    let closed = steps.iter().enumerate().find(|(at, step)| {
        // The directory itself is read, those above it are only passed.
        let needed = if *at == last { READ | ENTER } else { ENTER };
        !step.is_open(user, needed)
    });
    match closed.map(|(_, step)| step) {
        Some(step) => Verdict::Wrong(format!(
            "{path}: {} may not read {} ({}:{} {:04o})",
            user.name,
            step.path.display(),
            step.uid,
            step.gid,
            step.mode
        )),
        None => Verdict::Well,
    }
}

/// Whether the daemon is, or would be, the one of the unit.
fn is_service(facts: &Facts) -> bool {
    let Service::Units { service, .. } = &facts.service else {
        return false;
    };
    let is_other = facts
        .status()
        .is_some_and(|status| status.pid != service.main_pid);
    service.load == "loaded" && !is_other
}

// === impl Step ===

impl Step {
    /// By the one class of the mode that holds for the user.
    fn is_open(&self, user: &User, needed: u32) -> bool {
        let shift = if self.uid == user.uid {
            6
        } else if user.gids.contains(&self.gid) {
            3
        } else {
            0
        };
        user.uid == 0 || (self.mode >> shift) & needed == needed
    }
}
