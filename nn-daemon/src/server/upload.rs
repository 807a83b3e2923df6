//! A model's bytes as they come in messages, for an operator's upload and for a guest's load alike: each
//! message within a time, each chunk within a size.

use std::io::Write;
use std::time::Duration;

use nn_tensor::{Fault, Reason};
use tokio::time::timeout;
use tonic::Streaming;

use crate::registry::Upload;

/// The one part of an ONNX model.
pub(super) const PART: &str = "model.onnx";

/// The one part of OpenVINO's IR: both files as one bundle.
pub(super) const BUNDLE: &str = "model.nnir";

/// How long a client may pause between two chunks.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);

fn interrupted() -> Fault {
    Fault::of(Reason::UploadInterrupted).message("the upload was interrupted")
}

/// The next message; `None` once the client has sent its last.
pub(super) async fn message<T>(requests: &mut Streaming<T>) -> Result<Option<T>, Fault> {
    let message = timeout(CHUNK_TIMEOUT, requests.message()).await;
    let message = message.map_err(|_| {
        Fault::of(Reason::UploadLate)
            .message("the upload stalled")
            .expected(format!("a chunk every {CHUNK_TIMEOUT:?}"))
            .hint("send it again")
    })?;
    message.map_err(|status| {
        tracing::debug!(%status, "an upload broke off");
        interrupted()
    })
}

/// Hashes and keeps a chunk of at most `bytes_max` bytes, away from the thread that serves.
pub(super) async fn push<W: Write + Send + 'static>(
    mut upload: Upload<W>,
    chunk: Vec<u8>,
    bytes_max: usize,
) -> Result<Upload<W>, Fault> {
    if chunk.len() > bytes_max {
        return Err(Fault::of(Reason::Protocol)
            .message("a chunk of an upload is too large")
            .expected(format!("at most {bytes_max} bytes"))
            .got(format!("{} bytes", chunk.len())));
    }
    let pushed = tokio::task::spawn_blocking(move || upload.push(&chunk).map(|()| upload)).await;
    pushed.map_err(|error| {
        tracing::debug!(%error, "an upload's thread ended");
        interrupted()
    })?
}
