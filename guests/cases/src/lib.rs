//! What the guests for tests share, whatever ABI they speak: how inputs are specified and filled, how bytes are summed
//! up, and the table language. It calls no host; [`table::Abi`] is what a guest must bring along.

mod checksum;
mod dtype;
mod fill;
pub mod limits;
mod session;
mod spec;
pub mod table;
mod text;

pub use checksum::Fnv;
pub use dtype::DType;
pub use fill::bytes as fill;
pub use session::{Tally, hold};
pub use spec::{Encoding, Input, SpecError, Target, dimensions, inputs, number, read_parts};
pub use text::{join_dimensions, one_line, values};
