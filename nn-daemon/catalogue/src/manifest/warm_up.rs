//! Runs of a model before it counts as ready: what `[[warm_up]]` says, and what that comes to for a signature. Pure.

use std::collections::BTreeMap;

use nn_tensor::{DType, Fault, Shape, Signature, TensorName, TensorSpec, nearest};
use serde::{Deserialize, Serialize};

use super::{Manifest, refused};

/// Runs of one model.
pub(super) const WARM_UPS_MAX: usize = 8;

/// Up to here a double has every whole number.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// One run: its inputs by their names. One that is not named is as if nothing were said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WarmUp {
    /// What is said of each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Filling>,
}

/// An input of one number, everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filling {
    /// `None` for the signature's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<u32>>,
    /// The number.
    pub fill: f64,
}

/// What the parser lets through is finite (`check.rs`), so equal to itself.
impl Eq for Filling {}

/// An input as it is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The model's name for it.
    pub name: TensorName,
    /// Of the signature.
    pub dtype: DType,
    /// Fits the signature.
    pub shape: Shape,
    /// How many bytes it has.
    pub bytes: u64,
    /// One element, little-endian.
    pub element: Vec<u8>,
}

impl Manifest {
    /// The inputs of each run, in the model's order.
    ///
    /// Fails where they do not fit the signature, with what was meant; and where those of one run take more than
    /// `bytes_max`.
    pub fn warm_ups(
        &self,
        signature: &Signature,
        bytes_max: u64,
    ) -> Result<Vec<Vec<Filled>>, Fault> {
        let runs = self.warm_up.iter().zip(1_usize..);
        runs.map(|(run, number)| inputs(run, signature, bytes_max, number))
            .collect()
    }
}

fn inputs(
    run: &WarmUp,
    signature: &Signature,
    bytes_max: u64,
    number: usize,
) -> Result<Vec<Filled>, Fault> {
    let mut said: BTreeMap<usize, &Filling> = BTreeMap::new();
    for (name, filling) in &run.inputs {
        let index = signature
            .input(name)
            .ok_or_else(|| unknown(name, signature, number))?;
        if said.insert(index, filling).is_some() {
            return Err(refused(format!(
                "model.toml: warm_up, run {number}: input {name} is given twice"
            ))
            .expected("each input once, by its name or its number"));
        }
    }
    let nothing = Filling::default();
    let specs = signature.inputs.iter().enumerate();
    let filled: Vec<Filled> = specs
        .map(|(index, spec)| filled(spec, said.get(&index).unwrap_or(&&nothing), number))
        .collect::<Result<_, Fault>>()?;
    let bytes = filled
        .iter()
        .fold(0_u64, |sum, input| sum.saturating_add(input.bytes));
    if bytes > bytes_max {
        return Err(Fault::too_large(format!(
            "model.toml: warm_up, run {number}: its inputs are too large"
        ))
        .expected(format!("at most {bytes_max} bytes together"))
        .got(format!("{bytes} bytes"))
        .hint("limits.tensor_bytes_max"));
    }
    Ok(filled)
}

/// With the name that was probably meant.
fn unknown(name: &str, signature: &Signature, number: usize) -> Fault {
    let names = signature.inputs.iter().map(|spec| spec.name.as_str());
    let names: Vec<&str> = names.collect();
    let short: String = name.chars().take(64).collect();
    let fault = refused(format!(
        "model.toml: warm_up, run {number}: the model has no input {short}"
    ))
    .expected(format!("one of: {}", names.join(", ")))
    .got(short);
    match nearest(names.iter().copied(), name) {
        Some(meant) => fault.hint(format!("did you mean inputs.{meant}?")),
        None => fault,
    }
}

fn filled(spec: &TensorSpec, filling: &Filling, number: usize) -> Result<Filled, Fault> {
    let name = &spec.name;
    let place = format!("model.toml: warm_up, run {number}: input {name}");
    let shape = match &filling.shape {
        Some(dims) => Shape::new(dims).map_err(|error| refused(format!("{place}: {error}")))?,
        None => spec.fixed_shape().ok_or_else(|| {
            refused(format!("{place} needs a shape"))
                .expected(spec.to_string())
                .got("no shape")
                .hint(format!(
                    "inputs.{name} = {{ shape = [...] }}, with a number for each ?"
                ))
        })?,
    };
    if !spec.fits(spec.dtype, shape) {
        return Err(refused(format!("{place} does not fit the model"))
            .expected(spec.to_string())
            .got(format!("{} {shape}", spec.dtype))
            .hint("the shape in model.toml; ? stands for any size"));
    }
    let bytes = shape.byte_len(spec.dtype);
    let bytes = bytes.map_err(|error| refused(format!("{place}: {error}")))?;
    let element = element(spec.dtype, filling.fill).ok_or_else(|| {
        refused(format!("{place} cannot be filled with that"))
            .expected(format!("a number that {} has", spec.dtype))
            .got(filling.fill.to_string())
    })?;
    Ok(Filled {
        name: name.clone(),
        dtype: spec.dtype,
        shape,
        bytes,
        element,
    })
}

/// A number as an element; `None` where the type has no such number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole numbers are within their type's bounds, others are rounded"
)]
fn element(dtype: DType, fill: f64) -> Option<Vec<u8>> {
    let whole = |min: f64, max: f64| fill.fract() == 0.0 && (min..=max).contains(&fill);
    let single = fill as f32;
    match dtype {
        DType::Fp64 => fill.is_finite().then(|| fill.to_le_bytes().to_vec()),
        DType::Fp32 => single.is_finite().then(|| single.to_le_bytes().to_vec()),
        DType::Bf16 => single.is_finite().then(|| {
            // Cut off, not rounded: nobody reads the result.
            let bits = single.to_bits() >> 16;
            (bits as u16).to_le_bytes().to_vec()
        }),
        DType::Fp16 => half(single).map(|bits| bits.to_le_bytes().to_vec()),
        DType::U8 => whole(0.0, 255.0).then(|| vec![fill as u8]),
        DType::I32 => whole(f64::from(i32::MIN), f64::from(i32::MAX))
            .then(|| (fill as i32).to_le_bytes().to_vec()),
        DType::I64 => whole(-WHOLE_MAX, WHOLE_MAX).then(|| (fill as i64).to_le_bytes().to_vec()),
    }
}

/// IEEE 754 half precision, cut off: what is smaller than its smallest normal number is 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "five bits of exponent and ten of fraction are left"
)]
fn half(single: f32) -> Option<u16> {
    const BIAS: u32 = 127 - 15;
    let bits = single.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let exponent = (bits >> 23) & 0xff;
    let half = match exponent.checked_sub(BIAS) {
        None | Some(0) => sign,
        Some(exponent @ 1..=30) => sign | (exponent << 10) | ((bits >> 13) & 0x3ff),
        Some(_) => return None,
    };
    Some(half as u16)
}

#[cfg(test)]
mod tests {
    use nn_tensor::Dim;

    use super::*;

    fn spec(name: &str, dtype: DType, dims: &[Dim]) -> TensorSpec {
        TensorSpec {
            name: TensorName::new(name).unwrap(),
            dtype,
            dims: Some(dims.to_vec()),
        }
    }

    fn signature() -> Signature {
        let picture = [Dim::Any, Dim::Fixed(3)];
        Signature {
            inputs: vec![
                spec("image", DType::Fp32, &picture),
                spec("count", DType::I64, &[Dim::Fixed(2)]),
            ],
            outputs: Vec::new(),
        }
    }

    fn runs(text: &str) -> Result<Vec<Vec<Filled>>, Fault> {
        let manifest = Manifest::parse(text, |name| panic!("{name}")).unwrap();
        manifest.warm_ups(&signature(), 1000)
    }

    fn fault(text: &str) -> String {
        let fault = runs(text).unwrap_err();
        format!(
            "{} | {} | {} | {}",
            fault.message, fault.expected, fault.got, fault.hint
        )
    }

    #[test]
    fn inputs_are_of_the_signatures_types_and_its_shapes_where_these_are_fixed() {
        let all = runs(
            "[[warm_up]]\ninputs.image = { shape = [4, 3], fill = 0.5 }\n\
             [[warm_up]]\ninputs.image.shape = [1, 3]\ninputs.1.fill = 7\n",
        )
        .unwrap();
        let of = |input: &Filled| (input.name.as_str().to_owned(), input.bytes);
        let named: Vec<Vec<_>> = all.iter().map(|run| run.iter().map(of).collect()).collect();
        let count = ("count".to_owned(), 16);
        assert_eq!(
            named,
            [
                [("image".to_owned(), 48), count.clone()],
                [("image".to_owned(), 12), count]
            ]
        );
        assert_eq!(all[0][0].element, 0.5_f32.to_le_bytes());
        assert_eq!(all[1][0].element, [0; 4]);
        assert_eq!(all[1][1].element, 7_i64.to_le_bytes());
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_run_and_what_was_meant() {
        let open = fault("[[warm_up]]\n");
        assert!(
            open.contains("run 1") && open.contains("fp32 [?, 3]"),
            "{open}"
        );
        let first = "[[warm_up]]\ninputs.image.shape = [1, 3]\n[[warm_up]]\n";
        let name = fault(&format!("{first}inputs.imag.shape = [1, 3]\n"));
        assert!(
            name.contains("run 2") && name.contains("did you mean inputs.image?"),
            "{name}"
        );
        let shape = fault("[[warm_up]]\ninputs.image.shape = [1, 4]\n");
        assert!(
            shape.contains("fp32 [?, 3]") && shape.contains("fp32 [1, 4]"),
            "{shape}"
        );
        let twice = fault("[[warm_up]]\ninputs.image.shape = [1, 3]\ninputs.0.shape = [1, 3]\n");
        assert!(twice.contains("twice"), "{twice}");
        let number = fault("[[warm_up]]\ninputs.image.shape = [1, 3]\ninputs.count.fill = 0.5\n");
        assert!(number.contains("i64") && number.contains("0.5"), "{number}");
        let large = fault("[[warm_up]]\ninputs.image.shape = [100, 3]\n");
        assert!(
            large.contains("1000 bytes") && large.contains("1216 bytes"),
            "{large}"
        );
    }

    #[test]
    fn numbers_are_elements_where_their_type_has_them() {
        let of = |dtype, fill| element(dtype, fill);
        assert_eq!(of(DType::Fp16, 1.0), Some(vec![0x00, 0x3c]));
        assert_eq!(of(DType::Fp16, -0.5), Some(vec![0x00, 0xb8]));
        assert_eq!(of(DType::Fp16, 1e-30), Some(vec![0, 0]));
        assert_eq!(of(DType::Fp16, 1e6), None);
        assert_eq!(of(DType::Bf16, 1.0), Some(vec![0x80, 0x3f]));
        assert_eq!(of(DType::Fp32, 1e300), None);
        assert_eq!(of(DType::U8, 255.0), Some(vec![255]));
        assert_eq!(of(DType::U8, 256.0), None);
        assert_eq!(of(DType::I32, -1.0), Some(vec![255; 4]));
        assert_eq!(of(DType::I64, 1e300), None);
    }
}
