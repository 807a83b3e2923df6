//! onnx.proto as far as it is looked at (IR version 13): which field of which message holds what, and how often.
//! Fields that are not here are skipped; no framework of ours knows them either.

use super::wire::Value;

/// A message of onnx.proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Model,
    Training,
    Graph,
    Node,
    Attribute,
    Function,
    Sparse,
    Tensor,
    Value,
    Type,
    TensorType,
    /// A sequence or an optional value.
    Wrapped,
    Map,
    Shape,
    Dimension,
    Opset,
    /// A key and a value.
    Entry,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Varint,
    Bytes,
    Fixed32,
    /// Any number of them, packed or not.
    Varints,
    Fixed32s,
    Fixed64s,
    Many,
    /// A message, at most once.
    One(Kind),
    /// Messages.
    Each(Kind),
}

/// What a field of a message holds; `None` for those that are skipped.
pub(crate) const fn field(kind: Kind, number: u32) -> Option<Holds> {
    use Holds::{Bytes, Each, Fixed32, Fixed32s, Fixed64s, Many, One, Varint, Varints};
    Some(match (kind, number) {
        (Kind::Model, 1 | 5) => Varint,
        (Kind::Model, 2 | 3 | 4 | 6) => Bytes,
        (Kind::Model, 7) | (Kind::Training, 1 | 2) | (Kind::Attribute, 6) => One(Kind::Graph),
        (Kind::Model, 8) | (Kind::Function, 9) => Each(Kind::Opset),
        (Kind::Model, 14) => Each(Kind::Entry),
        (Kind::Model, 20) => Each(Kind::Training),
        (Kind::Model, 25) => Each(Kind::Function),

        (Kind::Graph, 1) | (Kind::Function, 7) => Each(Kind::Node),
        (Kind::Graph, 2 | 10) => Bytes,
        (Kind::Graph, 5) | (Kind::Attribute, 10) => Each(Kind::Tensor),
        (Kind::Graph, 11..=13) | (Kind::Function, 12) => Each(Kind::Value),
        (Kind::Graph, 15) | (Kind::Attribute, 23) => Each(Kind::Sparse),

        (Kind::Node, 1 | 2) | (Kind::Attribute, 9) | (Kind::Function, 4..=6) => Many,
        (Kind::Node, 3 | 4 | 6 | 7 | 8) => Bytes,
        (Kind::Node, 5) | (Kind::Function, 11) => Each(Kind::Attribute),

        (Kind::Attribute, 1 | 4 | 13 | 21) => Bytes,
        (Kind::Attribute, 2) => Fixed32,
        (Kind::Attribute, 3 | 20) => Varint,
        (Kind::Attribute, 5) | (Kind::Sparse, 1 | 2) => One(Kind::Tensor),
        (Kind::Attribute, 7) => Fixed32s,
        (Kind::Attribute, 8) | (Kind::Sparse, 3) => Varints,
        (Kind::Attribute, 11) => Each(Kind::Graph),
        (Kind::Attribute, 14) | (Kind::Value, 2) | (Kind::Wrapped, 1) | (Kind::Map, 2) => {
            One(Kind::Type)
        }
        (Kind::Attribute, 15) => Each(Kind::Type),
        (Kind::Attribute, 22) => One(Kind::Sparse),

        (Kind::Function, 1 | 8 | 10 | 13) => Bytes,

        (Kind::Tensor, 1 | 5 | 7 | 11) => Varints,
        (Kind::Tensor, 2 | 14) => Varint,
        (Kind::Tensor, 4) => Fixed32s,
        (Kind::Tensor, 6 | 13) => Many,
        (Kind::Tensor, 8 | 9 | 12) => Bytes,
        (Kind::Tensor, 10) => Fixed64s,

        (Kind::Value, 1 | 3) | (Kind::Type, 6 | 7) => Bytes,
        (Kind::Type, 1 | 8) => One(Kind::TensorType),
        (Kind::Type, 4 | 9) => One(Kind::Wrapped),
        (Kind::Type, 5) => One(Kind::Map),
        (Kind::TensorType | Kind::Map, 1) => Varint,
        (Kind::TensorType, 2) => One(Kind::Shape),
        (Kind::Shape, 1) => Each(Kind::Dimension),
        (Kind::Dimension, 1) | (Kind::Opset, 2) => Varint,
        (Kind::Dimension, 2 | 3) | (Kind::Opset, 1) | (Kind::Entry, 1 | 2) => Bytes,
        _ => return None,
    })
}

/// The field's bit among those that exclude each other in one message; 0 for fields that may come again.
pub(crate) const fn once(kind: Kind, number: u32, holds: Holds) -> u32 {
    let bit = match (kind, number) {
        // Of a oneof, the last counts: two are as bad as one twice.
        (Kind::Type, 1 | 4 | 5 | 7 | 8 | 9) | (Kind::Dimension, 1 | 2) => 1,
        _ => number,
    };
    match holds {
        Holds::Varint | Holds::Bytes | Holds::Fixed32 | Holds::One(_) => 1_u32.wrapping_shl(bit),
        Holds::Varints | Holds::Fixed32s | Holds::Fixed64s | Holds::Many | Holds::Each(_) => 0,
    }
}

impl Holds {
    /// Whether a value is of the type that the field has. Another parser would skip it, and the next see it.
    pub(crate) const fn fits(self, value: Value<'_>) -> bool {
        match self {
            Self::Varint => matches!(value, Value::Varint(_)),
            Self::Bytes | Self::Many | Self::One(_) | Self::Each(_) => {
                matches!(value, Value::Bytes(_))
            }
            Self::Fixed32 => matches!(value, Value::Fixed32),
            Self::Varints => matches!(value, Value::Varint(_) | Value::Bytes(_)),
            Self::Fixed32s => matches!(value, Value::Fixed32 | Value::Bytes(_)),
            Self::Fixed64s => matches!(value, Value::Fixed64 | Value::Bytes(_)),
        }
    }
}
