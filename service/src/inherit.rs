//! Descriptors that the service manager opened for this program (`LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`).
#![expect(unsafe_code, reason = "owning descriptors that come by number")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The most descriptors that are taken.
const FDS_MAX: usize = 64;

/// A descriptor, and what the unit calls it (`FileDescriptorName=`, else the unit's name).
#[derive(Debug)]
pub struct Inherited {
    /// Its name.
    pub name: String,
    /// Itself: close-on-exec, and the caller's alone.
    pub fd: OwnedFd,
}

/// Why descriptors that were announced cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// The environment contradicts itself, or a descriptor is not open.
    #[error(
        "LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES do not fit what this program was started with"
    )]
    Environment(#[source] io::Error),
    /// Too many.
    #[error("LISTEN_FDS announces {got} descriptors; expected at most {FDS_MAX}")]
    TooMany {
        /// How many.
        got: usize,
    },
    /// They have owners already.
    #[error("the inherited descriptors were taken before")]
    Taken,
}

/// Takes what this process inherited, in the unit's order; empty where nothing was meant for it. To be called once,
/// before the program opens descriptors of its own.
///
/// # Errors
/// When the environment announces what is not there; when they were taken before.
pub fn inherited() -> Result<Vec<Inherited>, InheritError> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    // Asked for first without names: those of another process, left in the environment, would not fit.
    let count = sd_notify::listen_fds().map_err(InheritError::Environment)?;
    if count.len() == 0 {
        return Ok(Vec::new());
    }
    let announced = sd_notify::listen_fds_with_names().map_err(InheritError::Environment)?;
    if announced.len() > FDS_MAX {
        return Err(InheritError::TooMany {
            got: announced.len(),
        });
    }
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Err(InheritError::Taken);
    }
    let owned = announced.map(|(number, name)| {
        // SAFETY: `listen_fds_with_names` has just set close-on-exec on this number, so it is open; LISTEN_PID names
        // this process, so the service manager put it there for us; and `TAKEN` lets nobody own it twice.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        Inherited { name, fd }
    });
    Ok(owned.collect())
}
