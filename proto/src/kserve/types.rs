//! Element types and dimensions, as the protocol writes them.

use nn_tensor::{DType, Dim, Fault, Reason, Shape, TensorSpec};

use super::inference::DataType;
use super::inference::model_metadata_response::TensorMetadata;

/// How the protocol writes a dimension of any size.
const ANY: i64 = -1;

/// The protocol's name of an element type.
#[must_use]
pub const fn datatype(dtype: DType) -> &'static str {
    match dtype {
        DType::Fp16 => "FP16",
        DType::Fp32 => "FP32",
        DType::Fp64 => "FP64",
        DType::Bf16 => "BF16",
        DType::U8 => "UINT8",
        DType::I32 => "INT32",
        DType::I64 => "INT64",
    }
}

/// The same in a model's configuration.
#[must_use]
pub const fn config_type(dtype: DType) -> DataType {
    match dtype {
        DType::Fp16 => DataType::TypeFp16,
        DType::Fp32 => DataType::TypeFp32,
        DType::Fp64 => DataType::TypeFp64,
        DType::Bf16 => DataType::TypeBf16,
        DType::U8 => DataType::TypeUint8,
        DType::I32 => DataType::TypeInt32,
        DType::I64 => DataType::TypeInt64,
    }
}

/// The element type of that name.
///
/// # Errors
/// Where there is none, or none that is served.
pub fn dtype(name: &str) -> Result<DType, Fault> {
    let known = DType::ALL.into_iter();
    let found = known.into_iter().find(|&dtype| datatype(dtype) == name);
    found.ok_or_else(|| {
        let served = DType::ALL.map(datatype).join(", ");
        let got: String = name.chars().take(64).collect();
        Fault::of(Reason::TypeUnserved)
            .expected(format!("one of {served}"))
            .got(format!("{:?}", got.escape_debug().to_string()))
    })
}

/// The dimensions of an input that came.
///
/// # Errors
/// Where they are those of no tensor.
pub fn shape(dims: &[i64]) -> Result<Shape, Fault> {
    let size = |&dim: &i64| {
        u32::try_from(dim).map_err(|_| {
            Fault::of(Reason::TensorSize)
                .expected("dimensions of 0 to 4294967295")
                .got(dim.to_string())
        })
    };
    let rank_max = nn_tensor::RANK_MAX;
    if dims.len() > rank_max {
        return Err(Fault::of(Reason::TensorRank)
            .expected(format!("at most {rank_max}"))
            .got(dims.len().to_string()));
    }
    let dims: Vec<u32> = dims.iter().map(size).collect::<Result<_, _>>()?;
    Shape::new(&dims).map_err(|error| Fault::of(Reason::TensorRank).got(error.to_string()))
}

/// The dimensions of a signature; where even their number is open there is one of any size.
#[must_use]
pub fn dims(spec: &TensorSpec) -> Vec<i64> {
    let written = |dim: &Dim| match *dim {
        Dim::Fixed(size) => size.into(),
        Dim::Any => ANY,
    };
    let dims = spec.dims.as_ref();
    dims.map_or_else(|| vec![ANY], |dims| dims.iter().map(written).collect())
}

/// An input or output of a signature.
#[must_use]
pub fn tensor_metadata(spec: &TensorSpec) -> TensorMetadata {
    TensorMetadata {
        name: spec.name.as_str().to_owned(),
        datatype: datatype(spec.dtype).to_owned(),
        shape: dims(spec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name_and_no_other_is() {
        for of in DType::ALL {
            assert_eq!(dtype(datatype(of)), Ok(of));
        }
        for unserved in ["BOOL", "INT8", "UINT64", "BYTES", "fp32", ""] {
            assert_eq!(
                dtype(unserved).unwrap_err().reason,
                Some(Reason::TypeUnserved)
            );
        }
    }

    #[test]
    fn dimensions_that_no_tensor_has_are_refused() {
        assert_eq!(shape(&[2, 0]).unwrap().dims(), [2, 0]);
        assert_eq!(shape(&[-1]).unwrap_err().reason, Some(Reason::TensorSize));
        assert_eq!(shape(&[1; 9]).unwrap_err().reason, Some(Reason::TensorRank));
    }
}
