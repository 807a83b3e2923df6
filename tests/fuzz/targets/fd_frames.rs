//! Packets with descriptors, as the daemon and the client judge them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nn_fuzz::fd_frames::run(bytes));
