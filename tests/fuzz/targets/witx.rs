//! Arguments of core modules' wasi-nn: pointers into a memory that the guest wrote.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nn_fuzz::witx::run(bytes));
