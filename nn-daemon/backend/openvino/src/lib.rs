//! OpenVINO on the CPU as a backend, loaded at run time. The only crate that names `openvino-sys` (ADR 23 says why not
//! `openvino`).
//!
//! Inputs are bound where they lie and outputs of fixed shape where they are to go (`ffi.rs`, the only unsafe code); an
//! output whose shape depends on the call is never given a place beforehand: OpenVINO 2026.4 leaves one that is too small
//! unwritten, and says nothing.
//!
//! What is never set, because it would let a model or an environment variable touch files: a cache directory, a file of
//! plugins, extensions. The device is the CPU by name, so that no other one is chosen behind anybody's back.

mod cause;
mod dtype;
mod ffi;
mod load;
mod run;
mod signature;

pub use load::OpenVinoBackend;
