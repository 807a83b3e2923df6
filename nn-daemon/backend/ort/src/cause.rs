//! Which of our errors an error of ONNX Runtime is. Pure.

use nn_backend::{BackendError, Cause};
use ort::error::ErrorCode;

/// How its messages end when an allocation failed: that of a tensor, or any of C++'s. No code says it.
/// Only the end counts, for a message may hold names that the model's author chose before it.
const ALLOCATION_FAILED: &str = "std::bad_alloc";
const BUFFER_FAILED: &str = "Failed to allocate memory for requested buffer of size ";

/// How its messages end when a run was told to.
const TERMINATED: &str = "Exiting due to terminate flag being set to true.";

/// Why a model did not load.
pub(crate) fn of_load(error: ort::Error) -> BackendError {
    if is_out_of_memory(error.message()) {
        return BackendError::Memory(error.into());
    }
    match error.code() {
        ErrorCode::NoModel
        | ErrorCode::InvalidProtobuf
        | ErrorCode::InvalidGraph
        | ErrorCode::InvalidArgument => BackendError::Encoding(error.into()),
        ErrorCode::NotImplemented => BackendError::Operation(error.into()),
        _ => BackendError::Load(error.into()),
    }
}

/// Why a run failed.
pub(crate) fn of_run(cause: Cause) -> BackendError {
    let error = cause.downcast_ref::<ort::Error>();
    if error.is_some_and(|error| is_out_of_memory(error.message())) {
        return BackendError::Memory(cause);
    }
    BackendError::Run(cause)
}

/// Whether a line says no more than that a run has ended as it was told to.
pub(crate) fn is_told_to_end(message: &str) -> bool {
    message.trim_end().ends_with(TERMINATED)
}

fn is_out_of_memory(message: &str) -> bool {
    let message = message.trim_end();
    let before_size = message.trim_end_matches(|c: char| c.is_ascii_digit());
    message.ends_with(ALLOCATION_FAILED) || before_size.ends_with(BUFFER_FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_allocation_is_out_of_memory_wherever_it_was() {
        // As ONNX Runtime 1.28.0 says it under RLIMIT_DATA: while it loads, in an operator, in an
        // operator inside another one, and between operators.
        let messages = [
            "Failed to load model with error: std::bad_alloc",
            "Exception during loading: std::bad_alloc",
            "Exception during initialization: std::bad_alloc",
            "Non-zero status code returned while running NonZero node. Name:'i' Status Message: \
             std::bad_alloc",
            "Non-zero status code returned while running Loop node. Name:'y' Status Message: \
             Non-zero status code returned while running Concat node. Name:'s2' Status Message: \
             std::bad_alloc",
            "std::bad_alloc",
        ];
        assert_eq!(messages.map(is_out_of_memory), [true; 6]);
    }

    #[test]
    fn a_tensor_that_an_arena_has_no_room_for_is_out_of_memory() {
        let message = "Non-zero status code returned while running Expand node. Name:'z' Status \
                       Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:359 void* \
                       onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, \
                       onnxruntime::Stream*) Failed to allocate memory for requested buffer of size \
                       4194304000000\n";
        assert!(is_out_of_memory(message));
    }

    #[test]
    fn other_failures_are_not_out_of_memory() {
        let messages = [
            "Non-zero status code returned while running Pad node. Name:'std::bad_alloc' Status \
             Message: Pad reflect requires axis length >= 2 after slicing. Input shape:{1,1}",
            "Non-zero status code returned while running Expand node. Name:'z' Status Message: \
             /onnxruntime_src/onnxruntime/core/common/safeint.h:17 static void \
             SafeIntExceptionHandler<onnxruntime::OnnxRuntimeException>::SafeIntOnOverflow() Integer \
             overflow\n",
            "",
        ];
        assert_eq!(messages.map(is_out_of_memory), [false; 3]);
    }

    #[test]
    fn a_run_that_was_told_to_end_is_no_news() {
        let message = "Non-zero status code returned while running Loop node. Name:'output' Status \
                       Message: Exiting due to terminate flag being set to true.";
        assert!(is_told_to_end(message));
        assert!(!is_told_to_end(
            "terminate called after throwing an instance"
        ));
    }
}
