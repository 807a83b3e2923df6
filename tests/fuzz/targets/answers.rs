//! What a remote engine says of a model, and answers to a call.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nn_fuzz::answers::run(bytes));
