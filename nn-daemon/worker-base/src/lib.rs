//! What every process that nn-spawner starts has, whatever it computes with: workers, which run a framework, and relays,
//! which ask remote engines. No framework is named here, and no runtime.
//!
//! ```text
//! start.rs   descriptors and environment, the model's parts, what a program says with --build-id
//! order.rs   what this process is made of, as its spawner says; the steps of its jail
//! channel.rs the control socket as frames
//! arenas.rs  what is mapped, and the slots of what this process writes
//! answer.rs  answers that every job may get
//! log.rs     lines for the daemon's log
//! memory.rs  the end of a process that runs out of memory
//! exit.rs    why a process ends
//! ```

pub mod answer;
pub mod arenas;
pub mod channel;
pub mod exit;
pub mod log;
mod memory;
pub mod order;
pub mod start;

pub use crate::exit::Exit;
