//! Packets with descriptors of every kind, one after the other, where they are judged: no session's tasks, no runtime, so
//! that many can be tried. The first byte says who judges: the daemon what a client sends, or the client what a daemon
//! sends. What the tasks make of them is for `fd_socket`.

/// Plays the rest of the bytes to that side.
pub fn run(bytes: &[u8]) {
    match bytes.split_first() {
        Some((side, bytes)) if side & 1 == 0 => nn_daemon::fuzzing::fd_frames(bytes),
        Some((_, bytes)) => nn_client::fuzzing::fd_frames(bytes),
        None => {}
    }
}
