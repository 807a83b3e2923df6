//! What is computed: files as they are, and for every other input numbers that are made up, the same in every run. Pure.

use nn_tensor::{DType, Fault, Shape, Signature, TensorName, TensorSpec};

use crate::failure::Failure;
use crate::npy::Array;

/// Where an input's bytes are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    File,
    Random,
}

/// An input, with its bytes.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) name: TensorName,
    pub(super) array: Array,
    pub(super) origin: Origin,
}

/// An input that fits the model, perhaps without its bytes.
#[derive(Debug)]
pub(super) struct Plan {
    name: TensorName,
    dtype: DType,
    shape: Shape,
    /// How many it takes.
    pub(super) bytes: u64,
    /// Those of a file.
    given: Option<Vec<u8>>,
}

/// Every input of a model: from its file, or of the shape that is given, or of its own where that is fixed.
pub(super) fn plan(
    signature: &Signature,
    files: Vec<(TensorName, Array)>,
    shapes: &[(String, Shape)],
) -> Result<Vec<Plan>, Failure> {
    let mut plans = Vec::with_capacity(signature.inputs.len());
    let mut filed = Vec::with_capacity(files.len());
    for (name, array) in files {
        filed.push(signature.input(name.as_str()));
        let (dtype, shape) = (array.dtype, array.shape);
        plans.push(Plan::new(name, dtype, shape, Some(array.bytes))?);
    }
    for (name, _) in shapes {
        let index = signature.input(name);
        if index.is_none() || filed.contains(&index) {
            return Err(Failure::from(useless(name, index.is_some(), signature)));
        }
    }
    for (index, spec) in signature.inputs.iter().enumerate() {
        if filed.contains(&Some(index)) {
            continue;
        }
        let mut given = shapes.iter();
        let given = given.find(|(name, _)| signature.input(name) == Some(index));
        let shape = given
            .map(|(_, shape)| *shape)
            .or_else(|| spec.fixed_shape());
        let shape = shape.ok_or_else(|| Failure::from(open(spec)))?;
        plans.push(Plan::new(spec.name.clone(), spec.dtype, shape, None)?);
    }
    let all = plans.iter();
    let all = all.map(|plan| (plan.name.as_str(), plan.dtype, plan.shape));
    signature.accepts(all).map_err(Fault::from)?;
    Ok(plans)
}

/// The model leaves the shape open, and nobody has given one.
fn open(spec: &TensorSpec) -> Fault {
    let name = spec.name.as_str();
    let example = spec.dims.as_ref().map_or_else(
        || "1x3".to_owned(),
        |dims| {
            let size = |dim: &nn_tensor::Dim| match *dim {
                nn_tensor::Dim::Fixed(fixed) => fixed.to_string(),
                nn_tensor::Dim::Any => "1".to_owned(),
            };
            dims.iter().map(size).collect::<Vec<_>>().join("x")
        },
    );
    Fault::invalid_argument(format!("the model takes {name} of more than one shape"))
        .expected(spec.to_string())
        .hint(format!(
            "say which: --shape {name}={example}, or --input {name}=FILE.npy"
        ))
}

/// A shape of nothing that would be made up.
fn useless(name: &str, is_known: bool, signature: &Signature) -> Fault {
    if is_known {
        return Fault::invalid_argument(format!("{name} has a file, and a shape besides"))
            .hint("the file says its shape: leave --shape out");
    }
    let names: Vec<&str> = signature
        .inputs
        .iter()
        .map(|spec| spec.name.as_str())
        .collect();
    Fault::invalid_argument(format!("the model has no input {name}"))
        .expected(names.join(", "))
        .got(format!("--shape {name}=…"))
}

// === impl Plan ===

impl Plan {
    fn new(
        name: TensorName,
        dtype: DType,
        shape: Shape,
        given: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        let too_long = |error: nn_tensor::ShapeError| Fault::too_large(error.to_string());
        let bytes = shape.byte_len(dtype).map_err(too_long)?;
        Ok(Self {
            name,
            dtype,
            shape,
            bytes,
            given,
        })
    }

    /// The input itself; what is made up depends on the seed alone.
    pub(super) fn fill(self, seed: u64) -> Result<Tensor, Fault> {
        let too_long = |_| Fault::too_large("an input of more bytes than this machine addresses");
        let length = usize::try_from(self.bytes).map_err(too_long)?;
        let origin = match self.given {
            Some(_) => Origin::File,
            None => Origin::Random,
        };
        let bytes = self
            .given
            .unwrap_or_else(|| random(self.dtype, length, seed));
        Ok(Tensor {
            name: self.name,
            array: Array {
                dtype: self.dtype,
                shape: self.shape,
                bytes,
            },
            origin,
        })
    }
}

/// Numbers that models take: floats from a half up to 1, bytes of every value; 0 and 1 for what may be an index or a mask.
fn random(dtype: DType, length: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let number = numbers.next();
        let [a, b, c, d, ..] = number.to_le_bytes();
        let (low, wide) = (u16::from_le_bytes([a, b]), u32::from_le_bytes([a, b, c, d]));
        match dtype {
            // The fraction is random, and the exponent is that of 0.5.
            DType::Fp16 => bytes.extend((0x3800 | low & 0x03ff).to_le_bytes()),
            DType::Bf16 => bytes.extend((0x3f00 | low & 0x007f).to_le_bytes()),
            DType::Fp32 => bytes.extend((0x3f00_0000 | wide & 0x007f_ffff).to_le_bytes()),
            DType::Fp64 => {
                bytes.extend((0x3fe0_0000_0000_0000 | number >> 12).to_le_bytes());
            }
            DType::U8 => bytes.push(a),
            DType::I32 => bytes.extend((wide & 1).to_le_bytes()),
            DType::I64 => bytes.extend((number & 1).to_le_bytes()),
        }
    }
    bytes
}

/// Splitmix64 (<https://prng.di.unimi.it/splitmix64.c>): for inputs of a benchmark, and nothing else.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::Dim;

    use super::*;

    fn spec(name: &str, dims: Option<&[Dim]>) -> TensorSpec {
        TensorSpec {
            name: TensorName::new(name).unwrap(),
            dtype: DType::Fp32,
            dims: dims.map(<[Dim]>::to_vec),
        }
    }

    /// `x` of `[?, 3]` and `n` of `[2]`.
    fn signature() -> Signature {
        Signature {
            inputs: vec![
                spec("x", Some(&[Dim::Any, Dim::Fixed(3)])),
                spec("n", Some(&[Dim::Fixed(2)])),
            ],
            outputs: Vec::new(),
        }
    }

    fn shape(name: &str, dims: &[u32]) -> (String, Shape) {
        (name.to_owned(), Shape::new(dims).unwrap())
    }

    fn file(name: &str, dims: &[u32]) -> (TensorName, Array) {
        let shape = Shape::new(dims).unwrap();
        let bytes = vec![7; usize::try_from(shape.byte_len(DType::Fp32).unwrap()).unwrap()];
        let dtype = DType::Fp32;
        let array = Array {
            dtype,
            shape,
            bytes,
        };
        (TensorName::new(name).unwrap(), array)
    }

    #[test]
    fn an_open_shape_is_asked_for_with_the_words_to_give_it() {
        let failure = plan(&signature(), Vec::new(), &[]).unwrap_err();
        let hint = "say which: --shape x=1x3, or --input x=FILE.npy";
        assert_eq!(
            (failure.fault.hint.as_str(), failure.exit.number()),
            (hint, 1)
        );
    }

    #[test]
    fn what_has_no_file_is_made_up_in_its_own_shape_or_the_given_one() {
        let plans = plan(&signature(), Vec::new(), &[shape("0", &[4, 3])]).unwrap();
        let tensors: Vec<Tensor> = plans.into_iter().map(|p| p.fill(1).unwrap()).collect();
        let lengths: Vec<usize> = tensors.iter().map(|t| t.array.bytes.len()).collect();
        assert_eq!(lengths, [48, 8]);
        assert!(tensors.iter().all(|tensor| tensor.origin == Origin::Random));
    }

    #[test]
    fn a_file_is_taken_as_it_is() {
        let plans = plan(&signature(), vec![file("x", &[1, 3])], &[]).unwrap();
        let first = plans.into_iter().next().unwrap().fill(1).unwrap();
        assert_eq!(
            (first.origin, first.array.bytes),
            (Origin::File, vec![7; 12])
        );
    }

    #[test]
    fn shapes_of_nothing_and_of_files_are_refused() {
        let unknown = plan(&signature(), Vec::new(), &[shape("y", &[1])]);
        let twice = plan(
            &signature(),
            vec![file("x", &[1, 3])],
            &[shape("x", &[1, 3])],
        );
        let misfit = plan(&signature(), Vec::new(), &[shape("x", &[1, 4])]);
        let said = [unknown, twice, misfit].map(|plan| plan.unwrap_err().fault.message);
        assert_eq!(
            said,
            [
                "the model has no input y",
                "x has a file, and a shape besides",
                "input x has other dimensions than the model takes"
            ]
        );
    }

    #[test]
    fn made_up_floats_are_between_a_half_and_one_and_integers_are_0_or_1() {
        let halves = random(DType::Fp32, 400, 1);
        let (halves, rest) = halves.as_chunks::<4>();
        assert!(rest.is_empty());
        let inside = |bytes: &[u8; 4]| (0.5..1.0).contains(&f32::from_le_bytes(*bytes));
        assert!(halves.iter().all(inside));
        let doubles = random(DType::Fp64, 80, 1);
        let inside = |bytes: &[u8; 8]| (0.5..1.0).contains(&f64::from_le_bytes(*bytes));
        assert!(doubles.as_chunks::<8>().0.iter().all(inside));
        let whole = random(DType::I64, 800, 1);
        assert!(
            whole
                .as_chunks::<8>()
                .0
                .iter()
                .all(|bytes| i64::from_le_bytes(*bytes) <= 1)
        );
    }

    #[test]
    fn the_same_is_made_up_in_every_run() {
        assert_eq!(random(DType::U8, 64, 3), random(DType::U8, 64, 3));
        assert_ne!(random(DType::U8, 64, 3), random(DType::U8, 64, 4));
    }
}
