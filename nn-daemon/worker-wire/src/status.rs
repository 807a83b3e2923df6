//! The statuses that a worker's process ends with, where the daemon reads more than "it failed" from them. The
//! whole table is nn-worker's (`main.rs`).

/// The framework did not load.
pub const FRAMEWORK: u8 = 69;

/// The jail could not be built.
pub const JAIL: u8 = 77;

/// It never became a worker: something failed between clone and exec.
pub const NOT_STARTED: u8 = 127;

/// A panic: the status of an abort, which a process that is pid 1 of its namespace cannot end by.
pub const PANIC: u8 = 134;

/// The allocator had nothing left, as containers report it.
pub const OUT_OF_MEMORY: u8 = 137;
