//! The allocator: the system's, and the end of the process when that has nothing left. By itself Rust would
//! abort then, and nobody could tell it from a crash.
#![expect(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};

use nn_shm::fds;
use nn_worker_wire::status;

use crate::log;

#[global_allocator]
static ALLOCATOR: Ends = Ends;

/// Ends the process instead of giving null.
struct Ends;

/// Writes without allocating.
fn out_of_memory() -> ! {
    let line = b": out of memory: the budget is used up\n";
    for part in [log::its_name().as_bytes(), line] {
        // Nobody is left to tell that the log is gone.
        let _ = nix::unistd::write(std::io::stderr(), part);
    }
    fds::exit_now(status::OUT_OF_MEMORY)
}

fn given(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        out_of_memory();
    }
    block
}

// SAFETY: every block comes from `System`, is of the layout that was asked for, and goes back to `System`; what
// differs is that null is never returned, which the trait allows. Nothing here panics.
unsafe impl GlobalAlloc for Ends {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the trait's rules for `layout`, which are `System`'s.
        given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller says that `block` is of `layout` and from here, which is from `System`.
        given(unsafe { System.realloc(block, layout, size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) };
    }
}
