//! `nnctl describe`: a model's signature, what is said of it, its state and counts.

mod card;
mod markdown;
mod spec;

use nn_proto::v1;
use nn_tensor::{Code, Fault, ModelRef, Signature, TensorSpec};
use serde::Serialize;

use super::model::{Latency, ModelView};
use crate::daemon::{Daemon, within};
use crate::failure::{Failure, parts};
use crate::output::{Paint, Report, Table, bytes, facts, micros, printable};
use card::Card;
use spec::SpecView;

/// A model, what its bytes say, and its signature where they say that, or once it has been loaded.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    model: ModelView,
    card: Card,
    facts: Facts,
    inputs: Vec<SpecView>,
    outputs: Vec<SpecView>,
    /// The model's own, where its operator has tensors converted.
    model_inputs: Option<Vec<SpecView>>,
    model_outputs: Option<Vec<SpecView>>,
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

/// Asks the daemon.
pub(crate) async fn run(daemon: &Daemon, model: Option<&ModelRef>) -> Result<Description, Failure> {
    let missing = || Failure::usage(Fault::invalid_argument("which model?").expected("NAME"));
    ask(daemon, model.ok_or_else(missing)?.to_string()).await
}

/// A page for those who write guests: of one model, or of all that have a current version.
pub(crate) async fn catalogue(
    daemon: &Daemon,
    model: Option<&ModelRef>,
) -> Result<String, Failure> {
    if let Some(model) = model {
        let description = ask(daemon, model.to_string()).await?;
        return Ok(markdown::page(&[description]));
    }
    let mut models = daemon.models();
    let listed = within("list", models.list(v1::ListRequest {})).await?;
    let current = listed.into_inner().models.into_iter();
    let mut all = Vec::new();
    for model in current.filter(|model| model.current) {
        match ask(daemon, format!("{}@{}", model.name, model.version)).await {
            Ok(description) => all.push(description),
            // It was unloaded meanwhile.
            Err(failure) if failure.fault.code == Code::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(markdown::page(&all))
}

async fn ask(daemon: &Daemon, reference: String) -> Result<Description, Failure> {
    let request = v1::DescribeRequest { reference };
    let answer = within("describe", daemon.models().describe(request)).await?;
    Description::read(answer.into_inner())
}

// === impl Description ===

impl Description {
    fn read(answer: v1::DescribeResponse) -> Result<Self, Failure> {
        let signature = Signature::try_from(answer.signature.unwrap_or_default())?;
        let own = answer
            .model_signature
            .map(Signature::try_from)
            .transpose()?;
        let views = |specs: &[TensorSpec]| specs.iter().map(SpecView::from).collect();
        Ok(Self {
            model: answer.model.unwrap_or_default().into(),
            card: answer.card.unwrap_or_default().into(),
            facts: answer.facts.unwrap_or_default().into(),
            inputs: signature.inputs.iter().map(Into::into).collect(),
            outputs: signature.outputs.iter().map(Into::into).collect(),
            model_inputs: own.as_ref().map(|own| views(&own.inputs)),
            model_outputs: own.as_ref().map(|own| views(&own.outputs)),
        })
    }
}

impl Report for Description {
    fn text(&self, paint: Paint) -> String {
        let mut text = self.about(paint);
        if !self.model.endpoints.is_empty() {
            text.push('\n');
            text.push_str(&endpoints(&self.model).render(paint));
        }
        if !self.model.instances.is_empty() {
            text.push('\n');
            text.push_str(&instances(&self.model).render(paint));
        }
        text.push('\n');
        if self.inputs.is_empty() && self.outputs.is_empty() {
            text.push_str("signature not known: the model has not been loaded\n");
        } else {
            text.push_str(&self.signatures().render(paint));
            text.push_str("\nfrom a guest\n");
            for line in markdown::call(&self.model, &self.inputs, &self.outputs) {
                text.push_str(&format!("    {}\n", printable(&line)));
            }
        }
        text
    }
}

impl Description {
    /// One fact a line.
    fn about(&self, paint: Paint) -> String {
        let Self { model, card, .. } = self;
        let current = match (model.current, model.pinned) {
            (true, true) => ", current, pinned",
            (true, false) => ", current",
            (false, _) => "",
        };
        let error: Vec<(&str, String)> = model.fault.iter().flat_map(error).collect();
        let head = [
            ("model", format!("{}{current}", model.reference())),
            ("aliases", model.aliases.join(", ")),
            ("state", model.state_text().to_owned()),
        ];
        let about: Vec<(&str, String)> = head
            .into_iter()
            .chain(error)
            .chain(card.facts())
            .chain(self.contents())
            .filter(|(_, value)| !value.is_empty())
            .collect();
        facts(&about, paint)
    }

    /// What clients send and get; then what the model has itself, where that is something else.
    fn signatures(&self) -> Table {
        let mut table = Table::new(&["", "NAME", "DTYPE", "SHAPE"]);
        let all = [
            ("input", Some(&self.inputs)),
            ("output", Some(&self.outputs)),
            ("model input", self.model_inputs.as_ref()),
            ("model output", self.model_outputs.as_ref()),
        ];
        for (role, specs) in all {
            for spec in specs.into_iter().flatten() {
                table.row([
                    role.to_owned(),
                    spec.name.clone(),
                    spec.dtype.to_owned(),
                    spec.shape_text(),
                ]);
            }
        }
        table
    }

    /// What is known of its bytes and its workers.
    fn contents(&self) -> [(&'static str, String); 14] {
        let Self { model, facts, .. } = self;
        let loaded_in = match model.load_us {
            0 => String::new(),
            load_us => micros(load_us),
        };
        let size = match model.bytes {
            0 => "no file of it is here".to_owned(),
            size => format!("{}, {}", model.format, bytes(size)),
        };
        let placement = match model.placement.as_str() {
            "local" if model.endpoints.is_empty() => String::new(),
            placement => placement.to_owned(),
        };
        let taken_over = match model.fallbacks {
            0 => String::new(),
            fallbacks => format!("{fallbacks} computes, here"),
        };
        let computes = format!("{} ok, {} failed", model.computes_ok, model.computes_failed);
        let latency = model.latency.as_ref().map(Latency::text);
        [
            ("placement", placement),
            ("loaded in", loaded_in),
            ("format", size),
            ("contents", facts.contents()),
            ("operators", facts.operators()),
            ("made by", facts.producer()),
            ("sha256", model.sha256.clone()),
            ("source", model.source.clone()),
            ("backend", backend(model)),
            ("isolation", isolation(model)),
            ("memory", model.memory_text()),
            ("computes", computes),
            ("taken over", taken_over),
            ("latency", latency.unwrap_or_default()),
        ]
    }
}

/// Why it failed, the parts indented.
fn error(fault: &Fault) -> impl Iterator<Item = (&'static str, String)> {
    let message = ("error", fault.message.clone());
    let indented = |label| match label {
        "expected" => "  expected",
        "got" => "  got",
        "hint" => "  hint",
        "reason" => "  reason",
        _ => "  log id",
    };
    let rest = parts(fault).map(move |(label, text)| (indented(label), text.to_owned()));
    std::iter::once(message).chain(rest)
}

fn endpoints(model: &ModelView) -> Table {
    let mut table = Table::new(&["ENDPOINT", "STATE", "IN FLIGHT", "FAILURES", "REASON"]);
    for endpoint in &model.endpoints {
        table.row([
            endpoint.address.clone(),
            match endpoint.state.as_str() {
                "" => "-".to_owned(),
                state => state.to_owned(),
            },
            endpoint.in_flight.to_string(),
            endpoint.failures.to_string(),
            endpoint.reason.clone(),
        ]);
    }
    table
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
mod tests;
