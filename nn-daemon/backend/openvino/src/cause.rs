//! Which of our errors an error of OpenVINO is. Pure.

use nn_backend::explained::{after, ident};
use nn_backend::{BackendError, Explained};
use openvino_sys::ov_status_e as Status;

/// A call of OpenVINO that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {status:?}: {message}")]
pub(crate) struct Failed {
    pub(crate) call: &'static str,
    pub(crate) status: Status,
    /// Its own words, for the log.
    pub(crate) message: String,
}

/// How a message tells that an allocation failed: C++'s word for it. No code says it. Only the end counts, for a message
/// may hold names that the model's author chose before it.
const ALLOCATION_FAILED: &str = "std::bad_alloc";

/// How it says the same of a tensor's memory, with a number in between.
const TENSOR_FAILED: (&str, &str) = ("Failed to allocate ", " bytes of memory");

/// What the CPU says of a node whose shape it cannot plan for.
const OPEN_RANK: &str = "with dynamic rank";

/// What the reader of ONNX says of operators that it does not know.
const UNSUPPORTED: &str = "OpenVINO does not support the following ONNX operations:";

/// So many of them are told.
const OPERATORS_MAX: usize = 8;

/// The same of operators that it knows, but not in this form, and of what it has no rule for.
const UNCONVERTED: &str = "FrontEnd API failed with OpConversionFailure:";

/// Why a model's bytes were not read.
pub(crate) fn of_read(error: Failed) -> BackendError {
    if error.is_out_of_memory() {
        return BackendError::Memory(error.into());
    }
    let says = |words: &str| error.message.contains(words);
    if error.status == Status::NOT_IMPLEMENTED || says(UNSUPPORTED) || says(UNCONVERTED) {
        let lacking = lacking(&error.message);
        return BackendError::Operation(Explained::cause(lacking, error));
    }
    BackendError::Encoding(error.into())
}

/// Why a model that was read could not be made ready.
pub(crate) fn of_compile(error: Failed) -> BackendError {
    if error.is_out_of_memory() {
        return BackendError::Memory(error.into());
    }
    match error.status {
        Status::NOT_IMPLEMENTED => BackendError::Operation(error.into()),
        _ if error.message.contains(OPEN_RANK) => BackendError::Operation(error.into()),
        _ => BackendError::Load(error.into()),
    }
}

/// Why a run failed.
pub(crate) fn of_run(error: Failed) -> BackendError {
    if error.is_out_of_memory() {
        return BackendError::Memory(error.into());
    }
    match error.status {
        Status::INFER_CANCELLED => BackendError::Interrupted(error.into()),
        _ => BackendError::Run(error.into()),
    }
}

/// The operators that it lacks, where it names them.
fn lacking(message: &str) -> Option<String> {
    let named = after(message, UNSUPPORTED)?;
    let operators = named.split([' ', ',', '\n']).filter_map(ident);
    let operators: Vec<&str> = operators.take(OPERATORS_MAX).collect();
    (!operators.is_empty()).then(|| format!("the operators {}", operators.join(", ")))
}

// === impl Failed ===

impl Failed {
    fn is_out_of_memory(&self) -> bool {
        let message = self.message.trim_end();
        let before_unit = message.strip_suffix(TENSOR_FAILED.1).unwrap_or_default();
        let before_size = before_unit.trim_end_matches(|c: char| c.is_ascii_digit());
        message.ends_with(ALLOCATION_FAILED) || before_size.ends_with(TENSOR_FAILED.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: Status, message: &str) -> Failed {
        Failed {
            call: "ov_infer_request_wait",
            status,
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_failed_allocation_is_out_of_memory_wherever_it_was() {
        // As OpenVINO 2026.4.1 says it under RLIMIT_DATA.
        let messages = [
            "Exception from core: std::bad_alloc\n",
            "Check 'ptr' failed at src/plugins/intel_cpu/src/cpu_memory.cpp:257: Failed to allocate 411844608 bytes of memory   \n",
        ];
        for message in messages {
            let error = || failed(Status::GENERAL_ERROR, message);
            for told in [of_read(error()), of_compile(error()), of_run(error())] {
                assert!(matches!(told, BackendError::Memory(_)), "{told:?}");
            }
        }
    }

    #[test]
    fn what_has_no_rule_of_conversion_is_an_operation_that_there_is_not() {
        let told = of_read(failed(
            Status::GENERAL_ERROR,
            "FrontEnd API failed with OpConversionFailure: Model wasn't fully converted. Summary: -- No conversion rule \
             found for operations: CumProd-26",
        ));
        assert!(matches!(told, BackendError::Operation(_)), "{told:?}");
    }

    #[test]
    fn a_name_in_the_message_makes_no_failed_allocation() {
        let told = of_run(failed(
            Status::GENERAL_ERROR,
            "node 'std::bad_alloc' is odd",
        ));
        assert!(matches!(told, BackendError::Run(_)), "{told:?}");
    }

    #[test]
    fn operators_that_it_lacks_are_named_and_nothing_else_of_its_words() {
        let message = "Check 'x' failed at src/frontends/onnx/frontend.cpp:1:\nOpenVINO does not support the following ONNX \
                       operations: ai.onnx.Foo, com.x.Bar\n";
        assert_eq!(
            lacking(message).unwrap(),
            "the operators ai.onnx.Foo, com.x.Bar"
        );
        assert_eq!(lacking("no such words"), None);
    }

    #[test]
    fn a_cancelled_run_is_interrupted() {
        let told = of_run(failed(Status::INFER_CANCELLED, ""));
        assert!(matches!(told, BackendError::Interrupted(_)), "{told:?}");
    }
}
