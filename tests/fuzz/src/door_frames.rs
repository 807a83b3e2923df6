//! A client's frames at the daemon's door, followed and mended before HTTP/2 reads them.

/// Follows them.
pub fn run(bytes: &[u8]) {
    nn_daemon::fuzzing::door_frames(bytes);
}
