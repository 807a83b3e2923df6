//! Files that are said to be NumPy's.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nn_fuzz::npy::run(bytes));
