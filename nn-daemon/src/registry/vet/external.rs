//! No external data: a tensor of an ONNX model may say that its bytes lie in another file, by a path of the
//! model's own choosing, and frameworks open that file. Here such a model ends, wherever in it the tensor
//! stands and wherever the path leads.
//!
//! The walk reads the wire format in place and builds nothing: a model of many tiny messages costs no memory,
//! and a large tensor is skipped. A field that occurs more than once counts each time, so nothing can be
//! hidden behind a later one.

use nn_tensor::{Code, Fault};

use super::wire::{Malformed, Value, fields};

/// Messages inside messages: as many as protobuf's own parsers follow.
const DEPTH_MAX: u32 = 100;

/// How much of a tensor's name is told.
const NAME_CHARS_MAX: usize = 64;

/// The messages of onnx.proto that tensors are found in (IR version 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Model,
    Training,
    Graph,
    Node,
    Attribute,
    Function,
    SparseTensor,
    Tensor,
}

/// TensorProto.
const NAME: u32 = 8;
const EXTERNAL_DATA: u32 = 13;
const DATA_LOCATION: u32 = 14;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    Malformed,
    TooDeep,
    External { tensor: String, of: Kind },
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Fails for a serialized ModelProto that has a tensor with external data anywhere, and for bytes that
/// cannot be followed to the end.
pub(super) fn refuse(model: &[u8]) -> Result<(), Fault> {
    walk(Kind::Model, model, DEPTH_MAX).map_err(explain)
}

/// What a field of a message holds, if that is a message that tensors are found in.
fn inside(kind: Kind, field: u32) -> Option<Kind> {
    match (kind, field) {
        (Kind::Model, 7) | (Kind::Training, 1 | 2) | (Kind::Attribute, 6 | 11) => Some(Kind::Graph),
        (Kind::Model, 20) => Some(Kind::Training),
        (Kind::Model, 25) => Some(Kind::Function),
        (Kind::Graph, 1) | (Kind::Function, 7) => Some(Kind::Node),
        (Kind::Node, 5) | (Kind::Function, 11) => Some(Kind::Attribute),
        (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::SparseTensor, 1 | 2) => {
            Some(Kind::Tensor)
        }
        (Kind::Graph, 15) | (Kind::Attribute, 22 | 23) => Some(Kind::SparseTensor),
        _ => None,
    }
}

fn walk(kind: Kind, message: &[u8], depth: u32) -> Result<(), Refusal> {
    let depth = depth.checked_sub(1).ok_or(Refusal::TooDeep)?;
    for field in fields(message) {
        let (number, value) = field?;
        match (inside(kind, number), value) {
            (Some(Kind::Tensor), Value::Bytes(tensor)) => look_at(tensor, kind)?,
            (Some(kind), Value::Bytes(message)) => walk(kind, message, depth)?,
            _ => {}
        }
    }
    Ok(())
}

/// A tensor of a message of kind `of`.
fn look_at(tensor: &[u8], of: Kind) -> Result<(), Refusal> {
    let (mut name, mut external): (&[u8], bool) = (&[], false);
    for field in fields(tensor) {
        match field? {
            (NAME, Value::Bytes(bytes)) => name = bytes,
            (EXTERNAL_DATA, Value::Bytes(_)) => external = true,
            // 0 is "inside"; 1 is "elsewhere", and nobody knows what others would be.
            (DATA_LOCATION, Value::Varint(place)) => external |= place != 0,
            _ => {}
        }
    }
    if external {
        let tensor = String::from_utf8_lossy(name);
        let tensor = tensor.chars().filter(|c| !c.is_control());
        return Err(Refusal::External {
            tensor: tensor.take(NAME_CHARS_MAX).collect(),
            of,
        });
    }
    Ok(())
}

fn explain(refusal: Refusal) -> Fault {
    let refused = |what: &str| Fault::new(Code::InvalidEncoding, what);
    match refusal {
        Refusal::Malformed => refused("the file is no ONNX model")
            .expected("a protobuf ModelProto that can be read to its end")
            .got("a message inside it that cannot be read")
            .hint("the file may be damaged; export it again"),
        Refusal::TooDeep => refused("the model's graphs are nested too deeply")
            .expected(format!("at most {DEPTH_MAX} messages inside each other"))
            .hint("flatten its subgraphs"),
        Refusal::External { tensor, of } => {
            let place = match of {
                Kind::Attribute => "of a node's attribute",
                Kind::SparseTensor => "of a sparse tensor",
                Kind::Model
                | Kind::Training
                | Kind::Graph
                | Kind::Node
                | Kind::Function
                | Kind::Tensor => "among a graph's initializers",
            };
            refused("a tensor of the model keeps its bytes in another file")
                .expected("no external data: every tensor's bytes inside the model")
                .got(format!("external data for the tensor {tensor:?} {place}"))
                .hint(
                    "save the model with all data inside its file (for the Python package onnx: load it with \
                     its data, then onnx.save_model(model, path, save_as_external_data=False))",
                )
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        bytes.push(value.to_le_bytes()[0]);
        bytes
    }

    fn message(field: u64, content: &[u8]) -> Vec<u8> {
        let len = varint(u64::try_from(content.len()).unwrap());
        [varint(field << 3 | 2), len, content.to_vec()].concat()
    }

    /// A tensor `w` with data_location 1 and nothing else.
    fn elsewhere() -> Vec<u8> {
        [message(8, b"w"), varint(14 << 3), varint(1)].concat()
    }

    /// `content` wrapped in messages by their field numbers, the innermost first.
    fn wrapped(content: &[u8], fields: &[u64]) -> Vec<u8> {
        fields
            .iter()
            .fold(content.to_vec(), |inner, &field| message(field, &inner))
    }

    fn is_refused_as_external(model: &[u8]) -> bool {
        matches!(
            walk(Kind::Model, model, DEPTH_MAX),
            Err(Refusal::External { .. })
        )
    }

    #[test]
    fn external_data_is_found_wherever_a_tensor_may_stand() {
        let places: [&[u64]; 14] = [
            // An initializer; sparse ones, values and indices.
            &[5, 7],
            &[1, 15, 7],
            &[2, 15, 7],
            // Attributes t, tensors, sparse_tensor, sparse_tensors of a node.
            &[5, 5, 1, 7],
            &[10, 5, 1, 7],
            &[1, 22, 5, 1, 7],
            &[2, 23, 5, 1, 7],
            // An initializer of a subgraph: attribute g, attribute graphs, and one in the other.
            &[5, 6, 5, 1, 7],
            &[5, 11, 5, 1, 7],
            &[5, 11, 5, 1, 6, 5, 1, 7],
            // A function: a node's attribute, an attribute's default.
            &[5, 5, 7, 25],
            &[5, 11, 25],
            // Training: initialization and algorithm.
            &[5, 1, 20],
            &[5, 2, 20],
        ];
        let found = places.map(|fields| is_refused_as_external(&wrapped(&elsewhere(), fields)));
        assert_eq!(found, [true; 14]);
    }

    #[test]
    fn a_location_without_a_list_and_a_list_without_a_location_are_both_refused() {
        let list = message(
            13,
            &[message(1, b"location"), message(2, b"/etc/passwd")].concat(),
        );
        let unknown_location = [varint(14 << 3), varint(7)].concat();
        let inside = [varint(14 << 3), varint(0)].concat();
        assert!(is_refused_as_external(&wrapped(&list, &[5, 7])));
        assert!(is_refused_as_external(&wrapped(&unknown_location, &[5, 7])));
        assert_eq!(refuse(&wrapped(&inside, &[5, 7])), Ok(()));
    }

    #[test]
    fn a_later_field_hides_nothing() {
        let back_inside = [elsewhere(), varint(14 << 3), varint(0)].concat();
        assert!(is_refused_as_external(&wrapped(&back_inside, &[5, 7])));
        let second_graph = [wrapped(&elsewhere(), &[5, 7]), message(7, b"")].concat();
        assert!(is_refused_as_external(&second_graph));
    }

    #[test]
    fn the_refusal_names_the_tensor_and_not_the_path() {
        let list = message(
            13,
            &[message(1, b"location"), message(2, b"/etc/passwd")].concat(),
        );
        let tensor = [message(8, b"we\x1bight"), list].concat();
        let fault = refuse(&wrapped(&tensor, &[5, 7])).unwrap_err();
        assert_eq!(fault.code, Code::InvalidEncoding);
        assert!(fault.got.contains("\"weight\""), "{fault}");
        assert!(!fault.to_string().contains("passwd"), "{fault}");
    }

    #[test]
    fn graphs_nested_beyond_the_bound_are_refused() {
        let nested = |levels| wrapped(b"", &[[6, 5, 1].repeat(levels), vec![7]].concat());
        assert_eq!(refuse(&nested(32)), Ok(()));
        assert!(refuse(&nested(33)).is_err());
        assert!(refuse(&nested(3000)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes: Vec<u8>) {
            let _ = refuse(&bytes);
            let _ = refuse(&wrapped(&bytes, &[5, 6, 5, 1, 7]));
        }
    }
}
