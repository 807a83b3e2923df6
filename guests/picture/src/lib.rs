//! What the classifying guests share, so that each of them is the few lines that call its host: the command line, the
//! picture as numbers, and the lines of the answer. It knows the normalisation of EfficientNet-Lite and no other; who wants
//! another takes the square as it is.

mod answer;
mod command;
mod decode;
mod read;
mod resample;

pub use answer::{LabelsMismatch, Likely};
pub use command::{Model, main};
pub use decode::{Picture, PictureError};
pub use read::{ReadError, file, likeliest, planes, planes_of, square};

/// What the model takes: one picture, three planes, 224 rows and columns of fp32.
pub const SHAPE: [u32; 4] = [1, 3, 224, 224];

/// The largest output that a guest makes room for, where its ABI does not tell the size: 1 MiB of fp32.
pub const OUTPUT_ELEMENTS_MAX: usize = 1 << 18;
