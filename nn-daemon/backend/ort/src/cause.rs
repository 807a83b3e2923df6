//! Which of our errors an error of ONNX Runtime is. Pure.

use nn_backend::explained::{after, ident, number, quoted};
use nn_backend::{BackendError, Cause, Explained};
use ort::error::ErrorCode;

/// How its messages end when an allocation failed: that of a tensor, or any of C++'s. No code says it.
/// Only the end counts, for a message may hold names that the model's author chose before it.
const ALLOCATION_FAILED: &str = "std::bad_alloc";
const BUFFER_FAILED: &str = "Failed to allocate memory for requested buffer of size ";

/// How its messages begin where a model's element types do not go together. No code says that it is the model.
const TYPE_ERROR: &str = "Type Error: ";

/// How its messages end when a run was told to.
const TERMINATED: &str = "Exiting due to terminate flag being set to true.";

/// Why a model did not load.
pub(crate) fn of_load(error: ort::Error) -> BackendError {
    let message = error.message();
    if is_out_of_memory(message) {
        let needed = needed(message);
        return BackendError::Memory(Explained::cause(needed, error));
    }
    if let Some(lacking) = lacking(message) {
        return BackendError::Operation(Explained::cause(Some(lacking), error));
    }
    let place = place_of_load(message);
    if message.starts_with(TYPE_ERROR) {
        return BackendError::Encoding(Explained::cause(place, error));
    }
    match error.code() {
        ErrorCode::NoModel
        | ErrorCode::InvalidProtobuf
        | ErrorCode::InvalidGraph
        | ErrorCode::InvalidArgument => BackendError::Encoding(Explained::cause(place, error)),
        ErrorCode::NotImplemented => BackendError::Operation(Explained::cause(place, error)),
        _ => BackendError::Load(Explained::cause(place, error)),
    }
}

/// Why a run failed.
pub(crate) fn of_run(cause: Cause) -> BackendError {
    let Some(error) = cause.downcast_ref::<ort::Error>() else {
        return BackendError::Run(cause);
    };
    let message = error.message();
    if is_out_of_memory(message) {
        let needed = needed(message);
        return BackendError::Memory(Explained::cause(needed, cause));
    }
    BackendError::Run(Explained::cause(place_of_run(message), cause))
}

/// The operator or the operator set that it does not have, where that is what it says.
fn lacking(message: &str) -> Option<String> {
    if let Some(rest) = after(message, "No Op registered for ") {
        let operator = ident(rest)?;
        let set = after(rest, "with domain_version of ").and_then(number);
        let set = set.map_or(String::new(), |set| format!(" of operator set {set}"));
        let node = after(message, "In Node, (\"").and_then(|name| name.split_once("\", "));
        return Some(match node {
            Some((name, _)) if !name.is_empty() => {
                format!("the operator {operator}{set}, in the node {}", quoted(name))
            }
            _ => format!("the operator {operator}{set}"),
        });
    }
    if let Some(rest) = after(message, "Could not find an implementation for ") {
        let operator = ident(rest)?;
        let set = after(rest, "(").and_then(number);
        let set = set.map_or(String::new(), |set| format!(" of operator set {set}"));
        return Some(format!(
            "the operator {operator}{set}, for these element types"
        ));
    }
    if let Some((before, _)) = message.split_once(" is not a registered function/op") {
        let named = before.rsplit([' ', '\n']).next()?;
        let (domain, operator) = named.split_once(':')?;
        let (domain, operator) = (ident(domain)?, ident(operator)?);
        return Some(format!("the operator {operator} of {domain}"));
    }
    let rest = after(message, "*guarantees* support for models stamped with ")?;
    let set = after(rest, "Opset ").and_then(number)?;
    let last = after(rest, "is till opset ").and_then(number);
    let last = last.map_or(String::new(), |last| format!("; the last it has is {last}"));
    Some(format!("operator set {set}{last}"))
}

/// The node that it complains of.
fn place_of_load(message: &str) -> Option<String> {
    if let Some(rest) = after(message, "of operator (") {
        let operator = ident(rest)?;
        let named = after(rest, ") in node (").and_then(|rest| rest.split_once(')'));
        return Some(node(operator, named.map_or("", |(name, _)| name)));
    }
    if let Some(rest) = after(message, "of Optype (") {
        return ident(rest).map(|operator| node(operator, ""));
    }
    let rest = after(message, "In Node, (\"")?;
    let (name, rest) = rest.split_once("\", ")?;
    Some(node(ident(rest)?, name))
}

/// The innermost node that was running.
fn place_of_run(message: &str) -> Option<String> {
    let (_, rest) = message.rsplit_once("while running ")?;
    let operator = ident(rest)?;
    let named = after(rest, "node. Name:'").and_then(|rest| rest.split_once("' Status Message"));
    Some(node(operator, named.map_or("", |(name, _)| name)))
}

fn node(operator: &str, name: &str) -> String {
    match name {
        "" => format!("in a node {operator}"),
        name => format!("in the node {} ({operator})", quoted(name)),
    }
}

/// What an allocation that failed was of.
fn needed(message: &str) -> Option<String> {
    let (_, bytes) = message.trim_end().rsplit_once(BUFFER_FAILED)?;
    number(bytes).map(|bytes| format!("{bytes} bytes more were asked for"))
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
    fn an_operator_or_a_set_of_them_that_it_lacks_is_named() {
        // As ONNX Runtime 1.28.0 says it.
        let messages = [
            "This is an invalid model. In Node, (\"n0\", Foo, \"\", -1) : (\"x\": tensor(float),) -> \
             (\"y\",) , Error No Op registered for Foo with domain_version of 13",
            "Could not find an implementation for Tile(13) node with name 't'",
            "Fatal error: com.example:Foo(-1) is not a registered function/op",
            "/onnxruntime_src/x.h:1 ONNX Runtime only *guarantees* support for models stamped with official \
             released onnx opset versions. Opset 99 is under development and support for this is limited. \
             Current official support for domain ai.onnx is till opset 26.",
        ];
        let told = messages.map(|message| lacking(message).unwrap());
        let expected = [
            "the operator Foo of operator set 13, in the node \"n0\"",
            "the operator Tile of operator set 13, for these element types",
            "the operator Foo of com.example",
            "operator set 99; the last it has is 26",
        ];
        assert_eq!(told, expected);
        assert_eq!(lacking("No Op registered for /etc/passwd"), None);
    }

    #[test]
    fn a_node_is_named_by_the_innermost_and_nothing_else_of_the_words_is_told() {
        let message = "Non-zero status code returned while running Loop node. Name:'outer' Status Message: Non-zero \
                       status code returned while running Gather node. Name:'in\u{1b}[2J' Status Message: \
                       /onnxruntime_src/gather.cc:1 indices element out of data bounds";
        assert_eq!(
            place_of_run(message).unwrap(),
            "in the node \"in\\u{1b}[2J\" (Gather)"
        );
        let message = "Type Error: Type 'tensor(int64)' of input parameter (x) of operator (Relu) in node (r) is invalid.";
        assert_eq!(place_of_load(message).unwrap(), "in the node \"r\" (Relu)");
        let message = "Type Error: Type parameter (T) of Optype (Add) bound to different types (tensor(float) and \
                       tensor(int64) in node ().";
        assert_eq!(place_of_load(message).unwrap(), "in a node Add");
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
