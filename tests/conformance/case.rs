//! The cases: ONNX's tests as they lie in the archive, and which of them wasi-nn has words for.

use std::collections::BTreeMap;

use nn_tensor::DType;
use prost::Message as _;

use crate::archive;
use crate::onnx::{Model, TensorProto, Value};
use crate::wire::Tensor;

/// More dimensions than that cannot be served.
const RANK_MAX: usize = 8;

/// A model, and what has to come out of it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// `node/test_abs`.
    pub(crate) name: String,
    pub(crate) model: Vec<u8>,
    /// The names of the outputs in the model's order.
    pub(crate) outputs: Vec<String>,
    pub(crate) sets: Vec<Set>,
}

/// One call and its answer, by names; inputs in the model's order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) outputs: Vec<Tensor>,
}

/// What is left out, for wasi-nn cannot say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unfit {
    /// A tensor of bool, strings, u64, f8 and so on.
    ElementType,
    /// An input or output that is a sequence, a map or an optional.
    NoTensor,
    /// More than 8 dimensions.
    Rank,
}

/// All that is in the archive.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    pub(crate) fit: Vec<Case>,
    pub(crate) unfit: BTreeMap<Unfit, Vec<String>>,
}

type Files<'a> = BTreeMap<String, &'a [u8]>;

// === impl Cases ===

impl Cases {
    /// Reads the archive; `None` when there is something in it that is not understood.
    pub(crate) fn read(archive: &[u8]) -> Option<Self> {
        let files = archive::files(archive)?;
        let mut cases = Self::default();
        for (path, model) in &files {
            let read = if let Some(name) = path.strip_suffix("/model.onnx") {
                read(&files, name, model)?
            } else if path.starts_with("light/") {
                match path.strip_suffix(".onnx") {
                    Some(name) => light(&files, name, model)?,
                    None => continue,
                }
            } else {
                continue;
            };
            match read {
                Ok(case) => cases.fit.push(case),
                Err((name, why)) => cases.unfit.entry(why).or_default().push(name),
            }
        }
        Some(cases)
    }

    /// How many there are in all.
    pub(crate) fn count(&self) -> usize {
        self.fit.len() + self.unfit.values().map(Vec::len).sum::<usize>()
    }
}

/// A case, or why there is none; `None` for what is not understood.
type Read = Option<Result<Case, (String, Unfit)>>;

/// One of those that come with their inputs: `NAME/model.onnx`, `NAME/test_data_set_0/input_0.pb` and so on.
fn read(files: &Files<'_>, name: &str, bytes: &[u8]) -> Read {
    let graph = Model::decode(bytes).ok()?.graph?;
    let ends = graph.input.iter().chain(&graph.output);
    if let Some(why) = ends.clone().find_map(unfit) {
        return Some(Err((name.to_owned(), why)));
    }
    // What is also an initializer has a value of its own.
    let is_fixed = |value: &&Value| {
        graph
            .initializer
            .iter()
            .any(|fixed| fixed.name == value.name)
    };
    let inputs: Vec<&Value> = graph
        .input
        .iter()
        .filter(|value| !is_fixed(value))
        .collect();
    let outputs: Vec<&Value> = graph.output.iter().collect();
    let mut sets = Vec::new();
    while let Some(set) = set(
        files,
        &format!("{name}/test_data_set_{}", sets.len()),
        &inputs,
        &outputs,
    )? {
        sets.push(set);
    }
    let tensors = sets
        .iter()
        .flat_map(|set: &Set| set.inputs.iter().chain(&set.outputs));
    let rank = tensors
        .filter_map(|tensor| Some(tensor.dims.as_ref()?.len()))
        .max();
    if rank > Some(RANK_MAX) {
        return Some(Err((name.to_owned(), Unfit::Rank)));
    }
    (!sets.is_empty()).then(|| {
        Ok(Case {
            name: name.to_owned(),
            model: bytes.to_vec(),
            outputs: outputs.iter().map(|output| output.name.clone()).collect(),
            sets,
        })
    })
}

fn unfit(value: &Value) -> Option<Unfit> {
    if value.is_other() {
        return Some(Unfit::NoTensor);
    }
    value.dtype().is_none().then_some(Unfit::ElementType)
}

/// The files of one call; `Some(None)` where there are none any more.
fn set(
    files: &Files<'_>,
    folder: &str,
    inputs: &[&Value],
    outputs: &[&Value],
) -> Option<Option<Set>> {
    let tensors = |side: &str, values: &[&Value]| -> Option<Vec<Tensor>> {
        let files = (0..).map_while(|place: usize| {
            Some((place, *files.get(&format!("{folder}/{side}_{place}.pb"))?))
        });
        let mut tensors: Vec<(usize, Tensor)> = files
            .map(|(place, bytes)| {
                let proto = TensorProto::decode(bytes).ok()?;
                // Some say which one they are; the others stand in the model's order.
                let named = values.iter().position(|value| value.name == proto.name);
                let place = named.unwrap_or(place);
                Some((place, proto.tensor(&values.get(place)?.name)?))
            })
            .collect::<Option<_>>()?;
        tensors.sort_by_key(|(place, _)| *place);
        Some(tensors.into_iter().map(|(_, tensor)| tensor).collect())
    };
    let set = Set {
        inputs: tensors("input", inputs)?,
        outputs: tensors("output", outputs)?,
    };
    Some((!set.outputs.is_empty()).then_some(set))
}

/// One of the small networks, which come without inputs: ONNX's own runner counts from 0 up to 1 through each.
fn light(files: &Files<'_>, name: &str, bytes: &[u8]) -> Read {
    let graph = Model::decode(bytes).ok()?.graph?;
    let is_fixed = |value: &&Value| {
        graph
            .initializer
            .iter()
            .any(|fixed| fixed.name == value.name)
    };
    let inputs = graph.input.iter().filter(|value| !is_fixed(value));
    let inputs: Option<Vec<Tensor>> = inputs.map(counted).collect();
    let outputs: Option<Vec<Tensor>> = graph
        .output
        .iter()
        .enumerate()
        .map(|(place, output)| {
            let file = files.get(&format!("{name}_output_{place}.pb"))?;
            TensorProto::decode(*file).ok()?.tensor(&output.name)
        })
        .collect();
    Some(Ok(Case {
        name: name.to_owned(),
        model: bytes.to_vec(),
        outputs: graph
            .output
            .iter()
            .map(|output| output.name.clone())
            .collect(),
        sets: vec![Set {
            inputs: inputs?,
            outputs: outputs?,
        }],
    }))
}

fn counted(value: &Value) -> Option<Tensor> {
    let dims = value.fixed()?;
    let count: u32 = dims.iter().product();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounded, as ONNX's runner does"
    )]
    let number = |n: u32| (f64::from(n) / f64::from(count)) as f32;
    Some(Tensor {
        name: value.name.clone(),
        dtype: Some(value.dtype().filter(|dtype| *dtype == DType::Fp32)?),
        dims: Some(dims),
        bytes: (0..count).flat_map(|n| number(n).to_le_bytes()).collect(),
    })
}

// === impl Case ===

impl Case {
    /// The name that the daemon gets it under: no slash may be in it.
    pub(crate) fn model_name(&self) -> String {
        self.name.replace('/', "-")
    }

    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.sets
            .iter()
            .flat_map(|set| set.inputs.iter().chain(&set.outputs))
    }

    /// Whether a tensor in it has no dimensions.
    pub(crate) fn has_scalar(&self) -> bool {
        self.tensors()
            .any(|tensor| tensor.dims.as_ref().is_some_and(Vec::is_empty))
    }

    /// Whether a tensor in it has no elements.
    pub(crate) fn has_nothing(&self) -> bool {
        self.tensors().any(|tensor| tensor.bytes.is_empty())
    }

    /// Whether an input is of bf16.
    pub(crate) fn has_bf16_input(&self) -> bool {
        let mut inputs = self.sets.iter().flat_map(|set| &set.inputs);
        inputs.any(|input| input.dtype == Some(DType::Bf16))
    }

    /// Whether a tensor in it is of bf16.
    pub(crate) fn has_bf16(&self) -> bool {
        self.tensors()
            .any(|tensor| tensor.dtype == Some(DType::Bf16))
    }
}
