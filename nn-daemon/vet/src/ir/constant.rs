//! A constant of an IR lies inside the weights, and is as long as its shape and type say.

use nn_tensor::{DType, Dim, RANK_MAX};

use super::xml::{Element, malformed};
use crate::refusal::{Refusal, Rule, quoted};

/// Bits of an element; 0 for strings, whose length only their bytes tell.
fn bits(element_type: &str) -> Option<u64> {
    Some(match element_type {
        "u1" => 1,
        "u2" => 2,
        "u4" | "i4" | "nf4" | "f4e2m1" => 4,
        "u8" | "i8" | "boolean" | "f8e4m3" | "f8e5m2" | "f8e8m0" => 8,
        "f16" | "bf16" | "u16" | "i16" => 16,
        "f32" | "u32" | "i32" => 32,
        "f64" | "u64" | "i64" => 64,
        "string" => 0,
        _ => return None,
    })
}

/// An element type that is served. Ports write it in upper case.
pub(super) fn dtype(element_type: &str) -> Option<DType> {
    Some(match element_type.to_ascii_lowercase().as_str() {
        "f16" | "fp16" => DType::Fp16,
        "f32" | "fp32" => DType::Fp32,
        "f64" | "fp64" => DType::Fp64,
        "bf16" => DType::Bf16,
        "u8" => DType::U8,
        "i32" => DType::I32,
        "i64" => DType::I64,
        _ => return None,
    })
}

/// A shape as an attribute has it, `2,?,1..8`; `None` for one of unknown rank.
pub(super) fn shape(text: &str) -> Result<Option<Vec<Dim>>, Refusal> {
    let mut dims = Vec::new();
    if text.trim() == "..." {
        return Ok(None);
    }
    for dim in text
        .split(',')
        .map(|dim| dim.trim_matches(' '))
        .filter(|dim| !dim.is_empty())
    {
        if dims.len() == RANK_MAX {
            return Err(too_many_dimensions());
        }
        dims.push(self::dim(dim)?);
    }
    Ok(Some(dims))
}

pub(super) fn too_many_dimensions() -> Refusal {
    Refusal::new(Rule::Rank)
        .expected(format!("at most {RANK_MAX} dimensions"))
        .got("more")
}

/// A dimension: a number, -1 or ? for any, or a range.
pub(super) fn dim(text: &str) -> Result<Dim, Refusal> {
    let number = |text: &str| text.is_empty() || text.parse::<u32>().is_ok();
    match (text, text.split_once("..")) {
        ("?" | "-1", _) => Ok(Dim::Any),
        (_, Some((from, to))) if number(from) && number(to) => Ok(Dim::Any),
        _ => text.parse().map(Dim::Fixed).map_err(|_| {
            Refusal::new(Rule::Dims)
                .expected("a number, ? or a range")
                .got(quoted(text.as_bytes()))
        }),
    }
}

/// Judges the data of a constant; gives its length.
pub(super) fn judge(data: &Element, weights: u64) -> Result<u64, Refusal> {
    let (offset, size) = (data.number("offset")?, data.number("size")?);
    let end = offset.checked_add(size).filter(|&end| end <= weights);
    if end.is_none() {
        return Err(Refusal::new(Rule::DataLength)
            .expected(format!("constants inside the {weights} bytes of weights"))
            .got(format!("{size} bytes from {offset} on")));
    }
    let element_type = data.attribute("element_type").unwrap_or_default();
    let bits = bits(element_type)
        .ok_or_else(|| Refusal::new(Rule::DataType).got(quoted(element_type.as_bytes())))?;
    let text = data
        .attribute("shape")
        .ok_or_else(|| malformed("a constant without a shape"))?;
    let dims = shape(text)?.unwrap_or_default();
    let fixed = dims.iter().map(|dim| match *dim {
        Dim::Fixed(fixed) => Some(u64::from(fixed)),
        Dim::Any => None,
    });
    let fixed: Option<Vec<u64>> = fixed.collect();
    let impossible = || {
        Refusal::new(Rule::Dims)
            .expected("dimensions of a constant, their product below 2^63")
            .got(quoted(text.as_bytes()))
    };
    let fixed = fixed.ok_or_else(impossible)?;
    let elements = crate::onnx::elements(&fixed)?;
    let bytes = elements
        .checked_mul(bits)
        .ok_or_else(impossible)?
        .div_ceil(8);
    if bits > 0 && bytes != size {
        return Err(Refusal::new(Rule::DataLength)
            .expected(format!(
                "{bytes} bytes for {fixed:?} of type {element_type}"
            ))
            .got(format!("{size} bytes")));
    }
    Ok(size)
}
