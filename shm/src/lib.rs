//! Shared-memory arenas with a single writer.
//!
//! Who does what:
//! - The daemon makes every segment ([`Segment::create`]): a memfd, sized, sealed against resizing.
//! - The **writer** (a host for inputs, a worker for outputs) maps it read-write ([`Segment::map_writer`]) and
//!   allocates slots in it, without asking anybody ([`Allocator`]).
//! - Then the daemon seals it against further writers ([`Segment::seal_writers`]).
//! - The **reader** re-checks seals and size and maps it read-only ([`Segment::map_reader`]).
//! - A slot changes hands by a message that names it; the reader says when it has no further use for
//!   it, and the writer frees it.
//!
//! Memory that another process may write is never a Rust reference: bytes go in and out by
//! [`VolatileSlice`], and lengths never come from shared memory.

#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)
)]

mod alloc;
pub mod fds;
mod ledger;
mod map;
mod memfd;
mod place;
mod volatile;

pub use alloc::{AllocError, Allocator, SLOT_ALIGN};
pub use ledger::{Ledger, LedgerError};
pub use map::{BlobMapping, Exposed, Mapping};
pub use memfd::{Blob, BlobDraft, Segment, ShmError};
pub use place::Place;
pub use volatile::VolatileSlice;
