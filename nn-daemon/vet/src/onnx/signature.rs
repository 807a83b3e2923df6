//! What a model says it takes and gives: the graph's inputs that are no initializers, and its outputs.

use std::collections::HashSet;

use nn_tensor::{DType, Dim, RANK_MAX, Signature, TENSORS_MAX, TensorName, TensorSpec};

use super::wire::{Value, fields};

/// GraphProto.
const INITIALIZER: u32 = 5;
const INPUT: u32 = 11;
const OUTPUT: u32 = 12;
const SPARSE_INITIALIZER: u32 = 15;
/// TensorProto, and a sparse tensor's values.
const TENSOR_NAME: u32 = 8;
const VALUES: u32 = 1;
/// ValueInfoProto.
const NAME: u32 = 1;
const TYPE: u32 = 2;

/// The signature of a graph that has been walked; `None` where it does not say all of it, or says what cannot be served:
/// then the framework has the word.
pub(crate) fn of(graph: &[u8]) -> Option<Signature> {
    let each = |wanted: u32| {
        let all = fields(graph).filter_map(Result::ok);
        all.filter_map(move |(number, value)| match value {
            Value::Bytes(bytes) if number == wanted => Some(bytes),
            _ => None,
        })
    };
    let sparse = each(SPARSE_INITIALIZER).filter_map(|sparse| bytes(sparse, VALUES));
    let initializers = each(INITIALIZER).chain(sparse);
    let known: HashSet<&[u8]> = initializers
        .filter_map(|tensor| bytes(tensor, TENSOR_NAME))
        .collect();
    let is_free = |value: &&[u8]| !bytes(value, NAME).is_some_and(|name| known.contains(name));
    let inputs = specs(each(INPUT).filter(is_free))?;
    let outputs = specs(each(OUTPUT))?;
    (!outputs.is_empty()).then_some(Signature { inputs, outputs })
}

fn specs<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Vec<TensorSpec>> {
    let mut specs = Vec::new();
    for value in values {
        if specs.len() == TENSORS_MAX {
            return None;
        }
        specs.push(spec(value)?);
    }
    Some(specs)
}

fn spec(value: &[u8]) -> Option<TensorSpec> {
    let name = std::str::from_utf8(bytes(value, NAME)?).ok()?;
    let tensor = bytes(bytes(value, TYPE)?, 1)?;
    let dims = match bytes(tensor, 2) {
        Some(shape) => Some(dims(shape)?),
        None => None,
    };
    Some(TensorSpec {
        name: TensorName::new(name).ok()?,
        dtype: dtype(varint(tensor, 1)?)?,
        dims,
    })
}

fn dims(shape: &[u8]) -> Option<Vec<Dim>> {
    let mut dims = Vec::new();
    for field in fields(shape).filter_map(Result::ok) {
        let (1, Value::Bytes(dimension)) = field else {
            continue;
        };
        if dims.len() == RANK_MAX {
            return None;
        }
        dims.push(match varint(dimension, 1) {
            // What is negative means any size too: old exporters write -1.
            Some(fixed) if i64::try_from(fixed).is_ok() => Dim::Fixed(u32::try_from(fixed).ok()?),
            Some(_) | None => Dim::Any,
        });
    }
    Some(dims)
}

/// TensorProto.DataType, of those that are served.
fn dtype(number: u64) -> Option<DType> {
    Some(match number {
        1 => DType::Fp32,
        2 => DType::U8,
        6 => DType::I32,
        7 => DType::I64,
        10 => DType::Fp16,
        11 => DType::Fp64,
        16 => DType::Bf16,
        _ => return None,
    })
}

/// A field's bytes; each comes once.
pub(crate) fn bytes(message: &[u8], wanted: u32) -> Option<&[u8]> {
    fields(message).find_map(|field| match field {
        Ok((number, Value::Bytes(bytes))) if number == wanted => Some(bytes),
        _ => None,
    })
}

/// A field's number.
pub(crate) fn varint(message: &[u8], wanted: u32) -> Option<u64> {
    fields(message).find_map(|field| match field {
        Ok((number, Value::Varint(value))) if number == wanted => Some(value),
        _ => None,
    })
}
