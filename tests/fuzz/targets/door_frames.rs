//! Frames of HTTP/2 as a client sends them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nn_fuzz::door_frames::run(bytes));
