//! Capabilities: none, in every set, and no way back to any.
#![expect(unsafe_code, reason = "prctl(PR_SET_SECUREBITS)")]

use std::io;

use caps::{CapSet, Capability, CapsHashSet};
use nix::libc;

use crate::apply::{StepResult, failed};

/// Uid 0 means nothing, changing uids gives nothing, nothing is kept or handed on; and all that for good.
const BITS: libc::c_int = libc::SECBIT_NOROOT
    | libc::SECBIT_NOROOT_LOCKED
    | libc::SECBIT_NO_SETUID_FIXUP
    | libc::SECBIT_NO_SETUID_FIXUP_LOCKED
    | libc::SECBIT_KEEP_CAPS_LOCKED
    | libc::SECBIT_NO_CAP_AMBIENT_RAISE
    | libc::SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

/// What takes a capability itself, and so comes before a change of uid that takes them all: no more of them by
/// any exec, and nothing special about uid 0. A process without that capability had none to begin with.
pub(crate) fn bound() -> StepResult {
    let other =
        |call: &'static str| move |error: caps::errors::CapsError| (call, io::Error::other(error));
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(other("capget"))? {
        // SAFETY: this option takes an integer and no pointer.
        let done = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, BITS) };
        if done != 0 {
            return Err(failed("prctl(PR_SET_SECUREBITS)")(
                io::Error::last_os_error(),
            ));
        }
        caps::clear(None, CapSet::Bounding).map_err(other("prctl(PR_CAPBSET_DROP)"))?;
    }
    Ok(())
}

/// Drops all of them.
pub(crate) fn drop_all() -> StepResult {
    let other =
        |call: &'static str| move |error: caps::errors::CapsError| (call, io::Error::other(error));
    let call = "capset";
    bound()?;
    caps::clear(None, CapSet::Ambient).map_err(other("prctl(PR_CAP_AMBIENT)"))?;
    caps::clear(None, CapSet::Inheritable).map_err(other(call))?;
    caps::clear(None, CapSet::Effective).map_err(other(call))?;
    caps::clear(None, CapSet::Permitted).map_err(other(call))
}

/// Drops all but these, of which it keeps what it has. With none kept, uid 0 is nobody special either.
pub(crate) fn keep(names: &[&str]) -> StepResult {
    if names.is_empty() {
        return drop_all();
    }
    let other =
        |call: &'static str| move |error: caps::errors::CapsError| (call, io::Error::other(error));
    let wanted: Result<Vec<Capability>, _> = names.iter().map(|name| name.parse()).collect();
    let wanted = wanted.map_err(other("the name of a capability"))?;
    let is_wanted = |capability: &Capability| wanted.contains(capability);
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(other("capget"))? {
        let bounds = caps::read(None, CapSet::Bounding).map_err(other("prctl(PR_CAPBSET_READ)"))?;
        for capability in bounds.into_iter().filter(|one| !is_wanted(one)) {
            caps::drop(None, CapSet::Bounding, capability)
                .map_err(other("prctl(PR_CAPBSET_DROP)"))?;
        }
    }
    let had = caps::read(None, CapSet::Permitted).map_err(other("capget"))?;
    let kept: CapsHashSet = had.into_iter().filter(is_wanted).collect();
    caps::clear(None, CapSet::Ambient).map_err(other("prctl(PR_CAP_AMBIENT)"))?;
    caps::clear(None, CapSet::Inheritable).map_err(other("capset"))?;
    caps::set(None, CapSet::Effective, &kept).map_err(other("capset"))?;
    caps::set(None, CapSet::Permitted, &kept).map_err(other("capset"))
}
