//! Which frameworks this worker can run. The only file of it that names one.

use nn_backend::Backend;
use nn_backend_openvino::OpenVinoBackend;
use nn_backend_ort::OrtBackend;

/// The backend of that name.
pub(crate) fn backend(name: &str) -> Option<Box<dyn Backend>> {
    match name {
        "onnxruntime" => Some(Box::new(OrtBackend::new())),
        "openvino" => Some(Box::new(OpenVinoBackend::new())),
        _ => None,
    }
}
