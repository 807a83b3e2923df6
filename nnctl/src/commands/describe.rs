//! `nnctl describe`: a model's signature, state and counts.

use nn_proto::v1;
use nn_tensor::{Dim, Fault, ModelRef, Signature, TensorSpec};
use serde::Serialize;

use super::model::ModelView;
use crate::daemon::{Daemon, within};
use crate::failure::{Failure, parts};
use crate::output::{Report, Table, bytes, micros, printable};

/// A model, what its bytes say, and its signature where they say that, or once it has been loaded.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    model: ModelView,
    facts: Facts,
    inputs: Vec<SpecView>,
    outputs: Vec<SpecView>,
}

/// What a model's bytes say of it.
#[derive(Debug, Default, Serialize)]
struct Facts {
    ir_version: i64,
    producer: String,
    producer_version: String,
    operator_sets: Vec<OperatorSet>,
    nodes: u64,
    parameter_bytes: u64,
}

#[derive(Debug, Serialize)]
struct OperatorSet {
    domain: String,
    version: i64,
}

/// One input or output.
#[derive(Debug, Serialize)]
struct SpecView {
    name: String,
    dtype: &'static str,
    /// `null` for any rank; in it `null` for any size.
    shape: Option<Vec<Option<u32>>>,
}

/// Asks the daemon.
pub(crate) async fn run(daemon: &Daemon, model: &ModelRef) -> Result<Description, Failure> {
    let request = v1::DescribeRequest {
        reference: model.to_string(),
    };
    let answer = within("describe", daemon.models().describe(request)).await?;
    Description::read(answer.into_inner())
}

// === impl Description ===

impl Description {
    fn read(answer: v1::DescribeResponse) -> Result<Self, Failure> {
        let signature = Signature::try_from(answer.signature.unwrap_or_default())?;
        Ok(Self {
            model: answer.model.unwrap_or_default().into(),
            facts: answer.facts.unwrap_or_default().into(),
            inputs: signature.inputs.iter().map(Into::into).collect(),
            outputs: signature.outputs.iter().map(Into::into).collect(),
        })
    }
}

impl Report for Description {
    fn text(&self) -> String {
        let mut text = facts(&self.model, &self.facts);
        if !self.model.instances.is_empty() {
            text.push('\n');
            text.push_str(&instances(&self.model).render());
        }
        text.push('\n');
        if self.inputs.is_empty() && self.outputs.is_empty() {
            text.push_str("signature not known: the model has not been loaded\n");
        } else {
            text.push_str(&signature(&self.inputs, &self.outputs).render());
        }
        text
    }
}

/// One fact a line.
fn facts(model: &ModelView, facts: &Facts) -> String {
    let current = if model.current { ", current" } else { "" };
    let error: Vec<(String, String)> = model.fault.iter().flat_map(error).collect();
    let loaded_in = match model.load_us {
        0 => String::new(),
        load_us => micros(load_us),
    };
    let head = [
        ("model", format!("{}{current}", model.reference())),
        ("state", model.state_text().to_owned()),
    ];
    let rest = [
        ("loaded in", loaded_in),
        (
            "format",
            format!("{}, {}", model.format, bytes(model.bytes)),
        ),
        ("contents", facts.contents()),
        ("operators", facts.operators()),
        ("made by", facts.producer()),
        ("sha256", model.sha256.clone()),
        ("source", model.source.clone()),
        ("backend", backend(model)),
        ("isolation", isolation(model)),
        (
            "computes",
            format!("{} ok, {} failed", model.computes_ok, model.computes_failed),
        ),
    ];
    let named = |(name, value): (&str, String)| (name.to_owned(), value);
    head.into_iter()
        .map(named)
        .chain(error)
        .chain(rest.into_iter().map(named))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:<11}{}\n", printable(&value)))
        .collect()
}

/// Why it failed, the parts indented.
fn error(fault: &Fault) -> impl Iterator<Item = (String, String)> {
    let message = ("error".to_owned(), fault.message.clone());
    let rest = parts(fault).map(|(label, text)| (format!("  {label}"), text.to_owned()));
    std::iter::once(message).chain(rest)
}

fn instances(model: &ModelView) -> Table {
    let mut table = Table::new(&["INSTANCE", "PID", "FOR", "RESTARTS", "IN FLIGHT", "MEMORY"]);
    for instance in &model.instances {
        table.row([
            instance.id.to_string(),
            instance.pid.map_or_else(String::new, |pid| pid.to_string()),
            instance.whom_text(),
            instance.restarts.to_string(),
            instance.in_flight.to_string(),
            bytes(instance.memory_bytes),
        ]);
    }
    table
}

fn signature(inputs: &[SpecView], outputs: &[SpecView]) -> Table {
    let mut table = Table::new(&["", "NAME", "DTYPE", "SHAPE"]);
    let inputs = inputs.iter().map(|spec| ("input", spec));
    let outputs = outputs.iter().map(|spec| ("output", spec));
    for (role, spec) in inputs.chain(outputs) {
        table.row([
            role.to_owned(),
            spec.name.clone(),
            spec.dtype.to_owned(),
            spec.shape_text(),
        ]);
    }
    table
}

// === impl Facts ===

impl Facts {
    /// `95 nodes, 17.7 MiB of constants`.
    fn contents(&self) -> String {
        match (self.nodes, self.parameter_bytes) {
            (0, 0) => String::new(),
            (nodes, constants) => format!("{nodes} nodes, {} of constants", bytes(constants)),
        }
    }

    /// `ai.onnx 17, ai.onnx.ml 4`.
    fn operators(&self) -> String {
        let sets = self
            .operator_sets
            .iter()
            .map(|set| match set.domain.as_str() {
                "" => format!("ai.onnx {}", set.version),
                domain => format!("{domain} {}", set.version),
            });
        sets.collect::<Vec<_>>().join(", ")
    }

    fn producer(&self) -> String {
        let both = format!("{} {}", self.producer, self.producer_version);
        both.trim().to_owned()
    }
}

impl From<v1::ModelFacts> for Facts {
    fn from(facts: v1::ModelFacts) -> Self {
        let sets = facts.operator_sets.into_iter();
        let set = |v1::OperatorSet { domain, version }| OperatorSet { domain, version };
        Self {
            ir_version: facts.ir_version,
            producer: facts.producer,
            producer_version: facts.producer_version,
            operator_sets: sets.map(set).collect(),
            nodes: facts.nodes,
            parameter_bytes: facts.parameter_bytes,
        }
    }
}

// === impl SpecView ===

impl SpecView {
    /// `[?, 3, 224, 224]`.
    fn shape_text(&self) -> String {
        let Some(dims) = &self.shape else {
            return "any rank".to_owned();
        };
        let dims: Vec<String> = dims
            .iter()
            .map(|dim| dim.map_or_else(|| "?".to_owned(), |dim| dim.to_string()))
            .collect();
        format!("[{}]", dims.join(", "))
    }
}

impl From<&TensorSpec> for SpecView {
    fn from(spec: &TensorSpec) -> Self {
        let dim = |dim: &Dim| match *dim {
            Dim::Fixed(fixed) => Some(fixed),
            Dim::Any => None,
        };
        Self {
            name: spec.name.as_str().to_owned(),
            dtype: spec.dtype.name(),
            shape: spec
                .dims
                .as_ref()
                .map(|dims| dims.iter().map(dim).collect()),
        }
    }
}

/// Whom one worker serves.
fn isolation(model: &ModelView) -> String {
    match model.isolation.as_str() {
        "peer" => "peer: one worker for all tenants".to_owned(),
        "tenant" => "tenant: a worker for each".to_owned(),
        other => other.to_owned(),
    }
}

/// The backend and, once it has been loaded, the framework's version.
fn backend(model: &ModelView) -> String {
    match model.runtime.as_str() {
        "" => model.backend.clone(),
        runtime => format!("{} ({runtime})", model.backend),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::sample;
    use super::*;

    fn spec(name: &str, dims: &[i64]) -> v1::TensorSpec {
        v1::TensorSpec {
            name: name.to_owned(),
            dtype: v1::DType::Fp32.into(),
            dims: dims.to_vec(),
            any_rank: false,
        }
    }

    #[test]
    fn a_ready_model_shows_its_signature() {
        let description = Description::read(v1::DescribeResponse {
            model: Some(sample()),
            signature: Some(v1::Signature {
                inputs: vec![spec("x", &[-1, 3])],
                outputs: vec![spec("y\x1b", &[])],
            }),
            facts: Some(v1::ModelFacts {
                ir_version: 8,
                producer: "pytorch".to_owned(),
                producer_version: "2.11".to_owned(),
                operator_sets: vec![v1::OperatorSet {
                    domain: String::new(),
                    version: 17,
                }],
                nodes: 95,
                parameter_bytes: 2048,
            }),
        });
        assert_eq!(
            description.unwrap().text(),
            "\
model      foo@2, current
state      ready
loaded in  123 ms
format     onnx, 17.6 MiB
contents   95 nodes, 2.0 KiB of constants
operators  ai.onnx 17
made by    pytorch 2.11
sha256     abababababababababababababababababababababababababababababababab
source     uploaded
backend    onnxruntime (ONNX Runtime 1.28.0)
isolation  peer: one worker for all tenants
computes   7 ok, 1 failed

INSTANCE  PID  FOR  RESTARTS  IN FLIGHT  MEMORY
1         42   all  0         3          64.0 MiB

        NAME     DTYPE  SHAPE
input   x        fp32   [?, 3]
output  y\\u{1b}  fp32   []
"
        );
    }

    #[test]
    fn a_failed_model_says_why_and_what_to_do() {
        let fault = Fault::runtime("the framework does not take the model").hint("see the log");
        let mut model = sample();
        model.state = v1::ModelState::Failed.into();
        model.error = Some(fault.into());
        let description = Description::read(v1::DescribeResponse {
            model: Some(model),
            signature: None,
            facts: None,
        });
        let text = description.unwrap().text();
        assert!(text.contains(
            "error      the framework does not take the model\n  hint     see the log\n"
        ));
        assert!(text.ends_with("signature not known: the model has not been loaded\n"));
    }

    #[test]
    fn json_has_null_for_what_is_open() {
        let mut open = spec("x", &[]);
        open.any_rank = true;
        let description = Description::read(v1::DescribeResponse {
            model: Some(sample()),
            signature: Some(v1::Signature {
                inputs: vec![open, spec("z", &[-1, 2])],
                outputs: Vec::new(),
            }),
            facts: None,
        });
        let json = serde_json::to_value(description.unwrap()).unwrap();
        assert!(json["inputs"][0]["shape"].is_null());
        assert_eq!(json["inputs"][1]["shape"], serde_json::json!([null, 2]));
    }
}
