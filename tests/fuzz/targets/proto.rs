//! Messages of nn.v1: what clients send to the daemon, and what it answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nn_fuzz::proto::run(bytes));
