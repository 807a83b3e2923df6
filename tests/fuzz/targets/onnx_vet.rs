//! Files that are said to be ONNX models.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nn_fuzz::onnx_vet::run(bytes));
