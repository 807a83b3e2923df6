//! What the suite reads of ONNX's messages: a model's inputs and outputs, and tensors. Field numbers are those of onnx.proto in
//! ONNX 1.22.

use nn_tensor::DType;
use prost::Message;

use crate::wire::Tensor;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Model {
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<Graph>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Graph {
    #[prost(message, repeated, tag = "5")]
    pub(crate) initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) output: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) kind: Option<Kind>,
}

/// Sequences, maps, optionals and sparse tensors have other fields, and none of these.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Kind {
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor: Option<TensorKind>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorKind {
    #[prost(int32, tag = "1")]
    pub(crate) element: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<ShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) dim: Vec<DimProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DimProto {
    #[prost(int64, optional, tag = "1")]
    pub(crate) value: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub(crate) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(crate) data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub(crate) floats: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub(crate) ints: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub(crate) longs: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) raw: Vec<u8>,
    #[prost(double, repeated, tag = "10")]
    pub(crate) doubles: Vec<f64>,
}

/// An element type of wasi-nn, by ONNX's number for it.
pub(crate) const fn dtype(number: i32) -> Option<DType> {
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

// === impl Value ===

impl Value {
    /// The element type of a tensor of wasi-nn.
    pub(crate) fn dtype(&self) -> Option<DType> {
        dtype(self.kind.as_ref()?.tensor.as_ref()?.element)
    }

    /// Whether it is no tensor at all.
    pub(crate) fn is_other(&self) -> bool {
        self.kind.as_ref().is_none_or(|kind| kind.tensor.is_none())
    }

    /// Dimensions where all are fixed.
    pub(crate) fn fixed(&self) -> Option<Vec<u32>> {
        let shape = self.kind.as_ref()?.tensor.as_ref()?.shape.as_ref()?;
        let dims = shape.dim.iter();
        dims.map(|dim| u32::try_from(dim.value?).ok()).collect()
    }
}

// === impl TensorProto ===

impl TensorProto {
    /// Its elements as wasi-nn has them, little-endian; `None` for a type or a length that it has not.
    pub(crate) fn tensor(self, name: &str) -> Option<Tensor> {
        let dtype = dtype(self.data_type)?;
        let dims: Option<Vec<u32>> = self.dims.iter().map(|&dim| dim.try_into().ok()).collect();
        let dims = dims?;
        let elements: usize = dims.iter().try_fold(1_usize, |product, &dim| {
            product.checked_mul(usize::try_from(dim).ok()?)
        })?;
        let bytes = if self.raw.is_empty() {
            self.listed(dtype)
        } else {
            self.raw
        };
        let whole = elements.checked_mul(usize::try_from(dtype.size()).ok()?)?;
        (bytes.len() == whole).then(|| Tensor {
            name: name.to_owned(),
            dtype: Some(dtype),
            dims: Some(dims),
            bytes,
        })
    }

    /// The bytes of the field that elements of that type are in, where they are not raw.
    fn listed(&self, dtype: DType) -> Vec<u8> {
        let ints = self.ints.iter();
        match dtype {
            DType::Fp32 => self.floats.iter().flat_map(|n| n.to_le_bytes()).collect(),
            DType::Fp64 => self.doubles.iter().flat_map(|n| n.to_le_bytes()).collect(),
            DType::I64 => self.longs.iter().flat_map(|n| n.to_le_bytes()).collect(),
            DType::I32 => ints.flat_map(|n| n.to_le_bytes()).collect(),
            // Bits, and small numbers, in numbers of 32 bits.
            DType::Fp16 | DType::Bf16 => ints.flat_map(|n| lowest::<2>(*n)).collect(),
            DType::U8 => ints.flat_map(|n| lowest::<1>(*n)).collect(),
        }
    }
}

fn lowest<const N: usize>(number: i32) -> [u8; N] {
    let bytes = number.to_le_bytes();
    std::array::from_fn(|place| bytes[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_of_half_precision_is_read_from_its_bits() {
        let proto = TensorProto {
            dims: vec![2, 1],
            data_type: 10,
            ints: vec![0x3c00, 0xfc00],
            ..TensorProto::default()
        };
        let tensor = proto.tensor("x").unwrap();
        assert_eq!(tensor.dims, Some(vec![2, 1]));
        assert_eq!(tensor.bytes, [0x00, 0x3c, 0x00, 0xfc]);
    }

    #[test]
    fn a_tensor_that_is_not_as_long_as_it_says_is_none() {
        let short = TensorProto {
            dims: vec![2],
            data_type: 1,
            floats: vec![1.0],
            ..TensorProto::default()
        };
        let huge = TensorProto {
            dims: vec![i64::from(u32::MAX); 8],
            data_type: 1,
            ..TensorProto::default()
        };
        assert!(short.tensor("x").is_none() && huge.tensor("x").is_none());
    }
}
