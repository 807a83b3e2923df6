//! Packets between daemon, spawner and worker.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nn_fuzz::worker_wire::run(bytes));
