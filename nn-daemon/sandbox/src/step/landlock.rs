//! Landlock: what lies below the binds may be read and executed, everything else is refused, however it
//! came into sight.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use crate::apply::StepResult;

/// The newest that the rules below know. An older kernel restricts what it can.
const NEWEST: ABI = ABI::V6;

/// Restricts this process.
pub(crate) fn restrict(paths: &[PathBuf]) -> StepResult {
    let told = |error: io::Error| ("landlock", error);
    let status = build(paths).map_err(|error| told(io::Error::other(error)))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(told(io::Error::other("the kernel enforces nothing of it")));
    }
    Ok(())
}

fn build(paths: &[PathBuf]) -> Result<RestrictionStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        // By a step of its own, in the right place.
        .no_new_privs(false);
    for path in paths {
        let below: BitFlags<AccessFs> = if path.is_dir() {
            AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute
        } else {
            AccessFs::ReadFile | AccessFs::Execute
        };
        // One that is not there leaves nothing to allow.
        if let Ok(fd) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(fd, below))?;
        }
    }
    ruleset.restrict_self()
}
