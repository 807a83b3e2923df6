//! Landlock: of a worker what lies below the binds may be read and executed, of our own processes what they were
//! granted; everything else is refused, however it came into sight.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope,
};

use crate::apply::StepResult;
use crate::own::{Access, Grant};

/// The newest that the rules below know. An older kernel restricts what it can.
const NEWEST: ABI = ABI::V6;

/// Restricts this process.
pub(crate) fn restrict(paths: &[PathBuf]) -> StepResult {
    enforced(build(paths))
}

/// Leaves this process what was granted to it.
pub(crate) fn grant(grants: &[Grant], tcp_connect: &[u16], abstract_sockets: bool) -> StepResult {
    enforced(build_grants(grants, tcp_connect, abstract_sockets))
}

fn enforced(built: Result<RestrictionStatus, RulesetError>) -> StepResult {
    let told = |error: io::Error| ("landlock", error);
    let status = built.map_err(|error| told(io::Error::other(error)))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(told(io::Error::other("the kernel enforces nothing of it")));
    }
    Ok(())
}

fn build_grants(
    grants: &[Grant],
    tcp_connect: &[u16],
    abstract_sockets: bool,
) -> Result<RestrictionStatus, RulesetError> {
    let scopes = if abstract_sockets {
        Scope::Signal.into()
    } else {
        Scope::from_all(NEWEST)
    };
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(scopes)?
        .create()?
        .no_new_privs(false);
    for grant in grants {
        let access = access(grant.access, grant.path.is_dir());
        // One that is not there leaves nothing to allow, and what is no directory nothing to list.
        if let Ok(fd) = PathFd::new(&grant.path)
            && !access.is_empty()
        {
            ruleset = ruleset.add_rule(PathBeneath::new(fd, access))?;
        }
    }
    for &port in tcp_connect {
        ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    ruleset.restrict_self()
}

fn access(access: Access, is_dir: bool) -> BitFlags<AccessFs> {
    let of_a_file = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let all = match access {
        Access::Keep => {
            of_a_file
                | AccessFs::ReadDir
                | AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir
                | AccessFs::Refer
        }
        Access::Read => AccessFs::ReadFile | AccessFs::ReadDir,
        Access::List => AccessFs::ReadDir.into(),
        Access::Remove => AccessFs::RemoveFile.into(),
    };
    if is_dir { all } else { all & of_a_file }
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
