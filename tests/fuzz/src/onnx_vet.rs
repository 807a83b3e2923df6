//! Files that are said to be ONNX models. What the daemon's own reading lets through is read once more by another
//! parser, and that one may find no tensor whose bytes are elsewhere.

use crate::onnx::is_elsewhere;

/// Judges the bytes as a model.
pub fn run(file: &[u8]) {
    // The other parser may refuse what was let through, and then there is no model.
    if nn_daemon::fuzzing::vet(file) {
        assert_ne!(is_elsewhere(file), Some(true), "external data passed");
    }
}
