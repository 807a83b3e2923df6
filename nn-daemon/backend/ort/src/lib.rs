//! ONNX Runtime as a backend, loaded at run time. The only crate that names `ort`.
//!
//! Inputs are bound where they lie and outputs of known shape where they are to go (`ffi.rs`, the
//! only unsafe code); nothing is copied for them. There is one environment a process.
//!
//! What is never set, because it would let a model or an environment variable touch files:
//! profiling, an optimised model's path, custom operators, a folder of external data.

mod cause;
mod dtype;
mod ffi;
mod load;
mod run;
mod threads;

pub use load::OrtBackend;
