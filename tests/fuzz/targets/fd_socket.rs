//! Packets on the descriptor socket, as the daemon and as the client reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nn_fuzz::fd_socket::run(bytes));
