//! What `[inputs.NAME]` and `[outputs.NAME]` say of tensors: how they are converted, and what an output's numbers stand
//! for. What the words mean is `nn-convert`'s.

use std::collections::BTreeMap;

use nn_convert::{Conversions, Given, Input, Output, Picture, Plan, Softmax};
use nn_tensor::{Fault, Signature};
use serde::{Deserialize, Serialize};

use super::{Manifest, check, refused};

/// One input as it is written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenInput {
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<Given>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<Picture>,
}

/// One output as it is written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<Given>,
    #[serde(skip_serializing_if = "Option::is_none")]
    softmax: Option<Axis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels_file: Option<String>,
}

/// A dimension; `true` for the last one.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "softmax is true, or the number of a dimension: -1 is the last"
)]
enum Axis {
    Last(bool),
    Of(i32),
}

/// All inputs, as they are declared.
pub(super) fn inputs(
    written: BTreeMap<String, WrittenInput>,
) -> Result<BTreeMap<String, Input>, Fault> {
    let inputs = written.into_iter().map(|(name, input)| {
        let declared = input.declared(&name)?;
        Ok((name, declared))
    });
    inputs.collect()
}

/// All outputs that are converted, as they are declared.
pub(super) fn outputs(
    written: &BTreeMap<String, WrittenOutput>,
) -> Result<BTreeMap<String, Output>, Fault> {
    let outputs = written.iter().filter_map(|(name, output)| {
        let declared = output.declared(name).transpose()?;
        Some(declared.map(|declared| (name.clone(), declared)))
    });
    outputs.collect()
}

/// Both, as they are written again.
pub(super) fn written(
    manifest: &Manifest,
) -> (BTreeMap<&str, WrittenInput>, BTreeMap<&str, WrittenOutput>) {
    let inputs = manifest.inputs.iter().map(|(name, input)| {
        let input = match input.clone() {
            Input::Picture(picture) => WrittenInput {
                dtype: None,
                picture: Some(picture),
            },
            Input::DType(given) => WrittenInput {
                dtype: Some(given),
                picture: None,
            },
        };
        (name.as_str(), input)
    });
    let mut outputs: BTreeMap<&str, WrittenOutput> = BTreeMap::new();
    for (name, output) in &manifest.outputs {
        let written = WrittenOutput {
            dtype: output.dtype,
            softmax: output.softmax.map(|Softmax(axis)| Axis::Of(axis)),
            top_k: output.top_k,
            ..WrittenOutput::default()
        };
        outputs.insert(name, written);
    }
    for (name, labels) in &manifest.labels {
        outputs.entry(name).or_default().labels = Some(labels.clone());
    }
    (inputs.collect(), outputs)
}

// === impl Manifest ===

impl Manifest {
    /// How the model's tensors are converted.
    #[must_use]
    pub fn conversions(&self) -> Conversions {
        let outputs = self.outputs.iter().map(|(name, output)| {
            let labels = self.labels.get(name).filter(|_| output.top_k.is_some());
            let output = Output {
                labels: labels.cloned().unwrap_or_default(),
                ..output.clone()
            };
            (name.clone(), output)
        });
        Conversions {
            inputs: self.inputs.clone(),
            outputs: outputs.collect(),
        }
    }

    /// What clients of a model with this signature send and get. Fails where a conversion does not fit it.
    pub fn converted(&self, own: &Signature) -> Result<Signature, Fault> {
        if self.inputs.is_empty() && self.outputs.is_empty() {
            return Ok(own.clone());
        }
        Ok(Plan::new(&self.conversions(), own)?.signature().clone())
    }
}

// === impl WrittenInput ===

impl WrittenInput {
    fn declared(self, name: &str) -> Result<Input, Fault> {
        let name: String = name.chars().take(64).collect();
        match (self.picture, self.dtype) {
            (Some(picture), None) => Ok(Input::Picture(picture)),
            (None, Some(given)) => Ok(Input::DType(given)),
            (Some(_), Some(_)) => Err(refused(format!(
                "model.toml: inputs.{name} has picture and dtype"
            ))
            .expected("one of them")
            .hint("a picture is bytes, and becomes what the model takes: leave dtype out")),
            (None, None) => Err(refused(format!("model.toml: inputs.{name} says nothing"))
                .expected("picture = { ... }, or dtype = \"u8\"")
                .hint("leave it out if clients send what the model takes")),
        }
    }
}

// === impl WrittenOutput ===

impl WrittenOutput {
    fn declared(&self, name: &str) -> Result<Option<Output>, Fault> {
        let softmax = match self.softmax {
            None => None,
            Some(Axis::Last(true)) => Some(Softmax(-1)),
            Some(Axis::Of(axis)) => Some(Softmax(axis)),
            Some(Axis::Last(false)) => {
                let name: String = name.chars().take(64).collect();
                return Err(
                    refused(format!("model.toml: outputs.{name}.softmax does nothing"))
                        .expected("true, or the number of a dimension")
                        .got("false")
                        .hint("leave it out"),
                );
            }
        };
        let output = Output {
            softmax,
            top_k: self.top_k,
            dtype: self.dtype,
            labels: Vec::new(),
        };
        Ok((output != Output::default()).then_some(output))
    }

    pub(super) fn labels(
        &self,
        name: &str,
        file: &mut impl FnMut(&str) -> Result<String, Fault>,
    ) -> Result<Option<Vec<String>>, Fault> {
        match (&self.labels, &self.labels_file) {
            (Some(_), Some(_)) => Err(refused(format!(
                "model.toml: outputs.{name} has labels and labels_file"
            ))
            .expected("one of them")),
            (Some(labels), None) => Ok(Some(labels.clone())),
            (None, Some(path)) => {
                check::beside(path)?;
                Ok(Some(file(path)?.lines().map(str::to_owned).collect()))
            }
            (None, None) => Ok(None),
        }
    }
}
