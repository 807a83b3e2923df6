//! The C library's allocator. With more than one arena it decides by files: how many processors there are, and
//! whether memory is overcommitted, read at a time that nobody can foresee. After the seal that would be
//! death by SIGSYS. With one arena it never asks.
#![expect(unsafe_code, reason = "mallopt, malloc_trim")]

use std::io;

use nix::libc;

use crate::apply::StepResult;

/// From now on one arena.
pub(crate) fn one_arena() -> StepResult {
    // SAFETY: mallopt takes two integers. The process has one thread, so no other one is allocating.
    let done = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    if done == 1 {
        Ok(())
    } else {
        let why = io::Error::other("the C library does not know M_ARENA_MAX");
        Err(("mallopt(M_ARENA_MAX)", why))
    }
}

/// Gives back to the kernel what is free in the heap, by whole pages.
pub fn trim() {
    // SAFETY: malloc_trim takes an integer, and locks what it looks at.
    unsafe { libc::malloc_trim(0) };
}
