//! Files that are said to be OpenVINO's.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nn_fuzz::ir_vet::run(bytes));
