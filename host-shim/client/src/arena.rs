//! The two kinds of shared memory a session has, seen from the client: it writes inputs, it reads
//! outputs.

mod input;
mod output;

pub use input::InSlot;
pub(crate) use input::{InArena, NoSlot};
pub use output::{ExposedSlot, OutSlot};
pub(crate) use output::{OutArena, Releases};
