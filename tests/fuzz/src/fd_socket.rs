//! Packets on the descriptor socket. The first byte says who reads: the daemon what a client sends, or the client
//! what a daemon sends.

/// Plays the rest of the bytes to that side.
pub fn run(bytes: &[u8]) {
    match bytes.split_first() {
        Some((side, bytes)) if side & 1 == 0 => nn_daemon::fuzzing::fd_socket(bytes),
        Some((_, bytes)) => nn_client::fuzzing::fd_socket(bytes),
        None => {}
    }
}
