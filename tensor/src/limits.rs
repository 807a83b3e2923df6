//! Bounds that hold on every wire of the system. Anything beyond them is refused where it enters.

/// The most tensors in one list (inputs or outputs of one inference, of one signature).
pub const TENSORS_MAX: usize = 128;

/// The longest tensor name, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 256;

/// The highest rank; wasi-nn itself sets none.
pub const RANK_MAX: usize = 8;
