//! Capabilities: none, in every set, and no way back to any.
#![expect(unsafe_code, reason = "prctl(PR_SET_SECUREBITS)")]

use std::io;

use caps::{CapSet, Capability};
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
