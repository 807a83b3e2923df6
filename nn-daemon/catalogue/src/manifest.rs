//! `model.toml`: what an operator says of a model. It stands beside the model in a repository, or is sent with it.
//!
//! ```toml
//! description = "Which of 1,000 things a picture shows"
//! licence = "Apache-2.0"
//! source = "ONNX model zoo, efficientnet-lite4-11"
//! sha256 = "d111…"                # of model.onnx; anything else is refused
//! tenants = ["shop", "search"]    # for others there is no such model
//!
//! backend = "onnxruntime"         # or "openvino"
//! device = "cpu"
//! precision = "f32"               # or "native": what the processor is fastest with (OpenVINO)
//! threads = 4                     # of one call; else workers.threads
//! instances = { min = 1, max = 4 } # workers of it; or instances = 2
//! queue_max = 64                  # calls that wait; more are refused as busy
//! compute_ms_max = 500            # of one call
//! load_ms_max = 20000
//! keep_alive_ms = 600000          # not used for so long, it rests; its next use loads it again
//!
//! [[warm_up]]                     # a run of each worker before it counts as ready
//! inputs.images = { shape = [1, 224, 224, 3], fill = 0.5 }
//!
//! [inputs.images]
//! picture = { mean = 127, std = 128 } # clients send a picture's bytes, of any size; or dtype = "u8"
//!
//! [outputs.Softmax]
//! top_k = 5                       # clients get the largest, where they are and what these are called; also softmax, dtype
//! labels_file = "labels.txt"      # one a line, in the order of the last dimension; or labels = ["cat", "dog"]
//!
//! placement = "kserve"            # not a worker here computes it but one of these; see `placement.rs`
//! [kserve]
//! endpoints = ["triton.example:8001"]
//! ```
//!
//! Every key is optional. An unknown one is an error: whoever writes `tenant = ["shop"]` is told of `tenants`.

mod check;
mod conversions;
mod instances;
mod placement;
mod precision;
mod unknown;
mod warm_up;
mod write;

pub use instances::{INSTANCES_MAX, Instances};
pub use placement::{KServe, KServeAuth, KServeTls, Placement};
pub use precision::Precision;
pub use warm_up::{Filled, Filling, WarmUp};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nn_tensor::{Fault, Reason, Tenant};
use serde::Deserialize;

use crate::Digest;
use conversions::{WrittenInput, WrittenOutput};

/// The largest `model.toml`, in bytes; and the most that all labels of a model take.
pub const MANIFEST_BYTES_MAX: usize = 192 * 1024;

/// What an operator says of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// What it does, for people.
    pub description: String,
    /// Under which terms it may be used.
    pub licence: String,
    /// Where it comes from.
    pub source: String,
    /// What its bytes hash to.
    pub sha256: Option<Digest>,
    /// Who may use it; `None` for everybody.
    pub tenants: Option<BTreeSet<Tenant>>,
    /// What runs it; empty for what its format says.
    pub backend: String,
    /// Where it is run; empty for the processor.
    pub device: String,
    /// What it is computed in.
    pub precision: Precision,
    /// Threads that compute one call.
    pub threads: Option<u32>,
    /// Its workers at a time; `None` for one.
    pub instances: Option<Instances>,
    /// Calls that wait for it.
    pub queue_max: Option<u32>,
    /// The longest that one call may take.
    pub compute_max: Option<Duration>,
    /// The longest that a load may take.
    pub load_max: Option<Duration>,
    /// How long it stays loaded with nobody using it; `None` for as long as there is room.
    pub keep_alive: Option<Duration>,
    /// What each of its workers runs before it counts as ready.
    pub warm_up: Vec<WarmUp>,
    /// What clients send in place of what the model takes, by its name for an input.
    pub inputs: BTreeMap<String, nn_convert::Input>,
    /// What clients get in place of what the model gives, by its name for an output; without labels.
    pub outputs: BTreeMap<String, nn_convert::Output>,
    /// What the numbers of an output stand for, by its name: at most one label for each place of its last dimension.
    pub labels: BTreeMap<String, Vec<String>>,
    /// Who computes it, unless an operator has placed it since.
    pub placement: Placement,
    /// The remote engines that may.
    pub kserve: Option<KServe>,
}

/// As it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    description: String,
    licence: String,
    source: String,
    sha256: Option<String>,
    tenants: Option<Vec<String>>,
    backend: String,
    device: String,
    precision: String,
    threads: Option<u32>,
    instances: Option<Instances>,
    queue_max: Option<u32>,
    compute_ms_max: Option<u64>,
    load_ms_max: Option<u64>,
    keep_alive_ms: Option<u64>,
    warm_up: Vec<WarmUp>,
    inputs: BTreeMap<String, WrittenInput>,
    outputs: BTreeMap<String, WrittenOutput>,
    placement: String,
    kserve: Option<placement::Written>,
}

fn refused(message: impl Into<String>) -> Fault {
    Fault::of(Reason::ManifestWrong).message(message)
}

impl Manifest {
    /// Reads a `model.toml`. `file` gives the text of a file that it names, which lies beside it.
    ///
    /// Fails on text that is not TOML, on an unknown key, and on a value that cannot be meant, each with its place.
    pub fn parse(
        text: &str,
        mut file: impl FnMut(&str) -> Result<String, Fault>,
    ) -> Result<Self, Fault> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(Fault::too_large("model.toml is too large")
                .expected(format!("at most {MANIFEST_BYTES_MAX} bytes"))
                .got(format!("{} bytes", text.len())));
        }
        let table: toml::Table = text.parse().map_err(|error| unreadable(text, &error))?;
        unknown::check(&table)?;
        let written: Written = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        let labels = written.outputs.iter().filter_map(|(name, output)| {
            let labels = output.labels(name, &mut file).transpose()?;
            Some(labels.map(|labels| (name.clone(), labels)))
        });
        let labels = labels.collect::<Result<_, Fault>>()?;
        let manifest = written.into_manifest(labels)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// A `model.toml` that says the same and names no file; empty where nothing is said. Fails where that is larger than
    /// one may be, which could not be read again: labels from a file, and texts full of quotes, take more room in it.
    pub fn to_text(&self) -> Result<String, Fault> {
        let text = write::text(self);
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(Fault::too_large("model.toml is too large with all in it")
                .expected(format!("at most {MANIFEST_BYTES_MAX} bytes"))
                .got(format!("{} bytes", text.len()))
                .hint("fewer or shorter labels, and a shorter description"));
        }
        Ok(text)
    }

    /// Fails where the bytes are not those that were meant.
    pub fn expects(&self, sha256: Digest) -> Result<(), Fault> {
        match self.sha256 {
            Some(expected) if expected != sha256 => Err(refused(
                "the model is not the one that its model.toml means",
            )
            .expected(format!("sha256 {expected}"))
            .got(format!("sha256 {sha256}"))
            .hint("mend sha256 in model.toml, or look where the file comes from")),
            _ => Ok(()),
        }
    }

    /// Whether a tenant may use the model.
    #[must_use]
    pub fn allows(&self, tenant: &Tenant) -> bool {
        let tenants = self.tenants.as_ref();
        tenants.is_none_or(|tenants| tenants.contains(tenant))
    }
}

impl Written {
    fn into_manifest(self, labels: BTreeMap<String, Vec<String>>) -> Result<Manifest, Fault> {
        let sha256 = self.sha256.map(|text| {
            text.parse::<Digest>()
                .map_err(|error| refused(format!("model.toml: sha256: {error}")))
        });
        let tenants = self.tenants.map(|tenants| {
            let tenant = |text: &String| {
                text.parse::<Tenant>()
                    .map_err(|error| refused(format!("model.toml: tenants: {error}")))
            };
            tenants.iter().map(tenant).collect::<Result<_, Fault>>()
        });
        let placement = match &*self.placement {
            "" => Ok(Placement::default()),
            said => Placement::parse(said),
        };
        let kserve = self.kserve.map(placement::Written::into_kserve);
        Ok(Manifest {
            placement: placement?,
            kserve: kserve.transpose()?,
            description: self.description,
            licence: self.licence,
            source: self.source,
            sha256: sha256.transpose()?,
            tenants: tenants.transpose()?,
            backend: self.backend,
            device: self.device,
            precision: Precision::parse(&self.precision)?,
            threads: self.threads,
            instances: self.instances,
            queue_max: self.queue_max,
            compute_max: self.compute_ms_max.map(Duration::from_millis),
            load_max: self.load_ms_max.map(Duration::from_millis),
            keep_alive: self.keep_alive_ms.map(Duration::from_millis),
            warm_up: self.warm_up,
            outputs: conversions::outputs(&self.outputs)?,
            inputs: conversions::inputs(self.inputs)?,
            labels,
        })
    }
}

/// What the parser says, and on which line.
fn unreadable(text: &str, error: &toml::de::Error) -> Fault {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| before.matches('\n').count().saturating_add(1));
    let place = line.map_or_else(String::new, |line| format!(", line {line}"));
    refused(format!("model.toml{place}: {}", error.message()))
}

#[cfg(test)]
mod tests;
