//! What the fuzz targets do with their bytes: a module each, with one function `run`. A crash, a failed assertion, a
//! hang or too much memory is a finding; everything else is as it should be.
//!
//! The modules that only need public interfaces are compiled into `tests/corpora.rs` as well, which replays the
//! corpora with every test run. The others reach into their crates by `cfg(fuzzing)`.

pub mod answers;
#[cfg(fuzzing)]
pub mod door_frames;
#[cfg(fuzzing)]
pub mod fd_frames;
#[cfg(fuzzing)]
pub mod fd_socket;
pub mod ir_vet;
#[cfg(fuzzing)]
pub mod npy;
pub mod onnx;
pub mod onnx_vet;
pub mod proto;
pub mod witx;
pub mod worker_wire;
