//! `config.pbtxt`, which Triton wants beside each model: a `ModelConfig` of its protocol in protobuf's text format.
//! Read is what means something here: which file the model is in, which versions are served, where the labels of
//! outputs are, how many instances there are. What else it says is named ([`Config::ignored`]), so that nobody believes that it holds.
//!
//! Inputs and outputs are not compared: what a model takes stands in the model.

mod text;

use std::collections::{BTreeMap, BTreeSet};

use nn_tensor::{Code, Fault, Version};
use text::{Message, Value};

use crate::{INSTANCES_MAX, Instances};

/// The largest `config.pbtxt`, in bytes.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// What Triton runs models with that are served here: `backend`, or `platform` in older files.
const BACKENDS: [(&str, Backend); 3] = [
    ("onnxruntime", Backend::OnnxRuntime),
    ("onnxruntime_onnx", Backend::OnnxRuntime),
    ("openvino", Backend::OpenVino),
];

/// What means the same here, or only repeats what the model says.
const MET: [&str; 4] = ["name", "max_batch_size", "input", "output"];

/// What runs a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// ONNX Runtime.
    OnnxRuntime,
    /// OpenVINO.
    OpenVino,
}

/// What is read of a `config.pbtxt`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What runs it, if it says so.
    pub backend: Option<Backend>,
    /// The model's file in each version's directory, if it is not the usual one.
    pub file: Option<String>,
    /// Which versions are served.
    pub versions: Versions,
    /// How many workers it has, if it says so.
    pub instances: Option<Instances>,
    /// Files with the labels of outputs, by the output's name; they lie beside `config.pbtxt`.
    pub label_files: BTreeMap<String, String>,
    /// Fields that are set and change nothing here.
    pub ignored: BTreeSet<String>,
}

/// Which versions of a model are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// All.
    #[default]
    All,
    /// So many with the highest numbers.
    Latest(usize),
    /// These.
    These(BTreeSet<Version>),
}

/// Kinds of instances that are on the processor, by name and number; the first is what is meant where nothing is said.
const KINDS: [&str; 4] = ["KIND_AUTO", "KIND_CPU", "0", "2"];

/// What is read of a group of instances, or says nothing.
const GROUP: [&str; 3] = ["name", "count", "kind"];

fn refused(message: impl Into<String>) -> Fault {
    Fault::invalid_argument(message)
}

impl Config {
    /// Reads a `config.pbtxt`.
    ///
    /// Fails on what is no text format, on values of the wrong kind, and on a model for another framework.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > CONFIG_BYTES_MAX {
            return Err(Fault::too_large("config.pbtxt is too large")
                .expected(format!("at most {CONFIG_BYTES_MAX} bytes"))
                .got(format!("{} bytes", text.len())));
        }
        let message = text::parse(text)?;
        let mut config = Self::default();
        for (field, value) in &message.fields {
            config.take(field, value)?;
        }
        config.bound();
        Ok(config)
    }

    fn take(&mut self, field: &str, value: &Value) -> Result<(), Fault> {
        match field {
            "backend" | "platform" => {
                let named = word(field, value)?;
                if named.is_empty() {
                    return Ok(());
                }
                let other = || {
                    Fault::new(
                        Code::UnsupportedOperation,
                        "config.pbtxt is for another framework",
                    )
                    .expected("backend: \"onnxruntime\", or \"openvino\"")
                    .got(format!("{field}: {}", clipped(named)))
                };
                let known = BACKENDS.iter().find(|(name, _)| *name == named);
                self.backend = Some(known.ok_or_else(other)?.1);
            }
            "default_model_filename" => {
                let name = word(field, value)?;
                self.file = (!name.is_empty()).then(|| plain(name)).transpose()?;
            }
            "version_policy" => self.versions = versions(message(field, value)?)?,
            "output" => self.labels(message(field, value)?)?,
            "instance_group" => self.group(message(field, value)?)?,
            field if MET.contains(&field) => {}
            other => {
                self.ignored.insert(clipped(other));
            }
        }
        Ok(())
    }

    /// The model's file in each version's directory; `None` where whichever is there is meant.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        let usual = self.backend.map(|backend| match backend {
            Backend::OnnxRuntime => "model.onnx",
            Backend::OpenVino => "model.xml",
        });
        self.file.as_deref().or(usual)
    }

    /// Groups add up. One for a device that no model runs on here has no effect.
    fn group(&mut self, group: &Message) -> Result<(), Fault> {
        let kind = group.last("kind").map(|kind| word("kind", kind));
        let kind = kind.transpose()?.unwrap_or(KINDS[0]);
        if !KINDS.contains(&kind) {
            self.ignored
                .insert(format!("instance_group of {}", clipped(kind)));
            return Ok(());
        }
        let count = group.last("count").map(|count| number("count", count));
        // Not said, or said to be none, it is one.
        let count = count.transpose()?.unwrap_or(1).max(1);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let before = self.instances.map_or(0, |instances| instances.max);
        self.instances = Some(Instances::of(before.saturating_add(count)));
        let others = group.fields.iter().map(|(field, _)| field);
        for field in others.filter(|field| !GROUP.contains(&field.as_str())) {
            self.ignored
                .insert(format!("instance_group.{}", clipped(field)));
        }
        Ok(())
    }

    /// As many as there may be, and that there are not more is told.
    fn bound(&mut self) {
        let wanted = self.instances.map_or(0, |instances| instances.max);
        if wanted > INSTANCES_MAX {
            self.instances = Some(Instances::of(INSTANCES_MAX));
            self.ignored.insert(format!(
                "instance_group beyond {INSTANCES_MAX} instances ({wanted})"
            ));
        }
    }

    fn labels(&mut self, output: &Message) -> Result<(), Fault> {
        let of = |field: &str| {
            output
                .last(field)
                .map(|value| word(field, value))
                .transpose()
        };
        if let (Some(name), Some(file)) = (of("name")?, of("label_filename")?) {
            self.label_files.insert(name.to_owned(), plain(file)?);
        }
        Ok(())
    }
}

impl Versions {
    /// Those of them that are served.
    #[must_use]
    pub fn of(&self, there: &BTreeSet<Version>) -> BTreeSet<Version> {
        match self {
            Self::All => there.clone(),
            Self::Latest(count) => there.iter().rev().take(*count).copied().collect(),
            Self::These(these) => there.intersection(these).copied().collect(),
        }
    }
}

fn versions(policy: &Message) -> Result<Versions, Fault> {
    if policy.last("all").is_some() {
        return Ok(Versions::All);
    }
    if let Some(latest) = policy.last("latest") {
        let count = message("latest", latest)?.last("num_versions");
        let count = count
            .map(|count| number("num_versions", count))
            .transpose()?;
        // Triton's own: one, if it says nothing.
        let count = count.unwrap_or(1).max(1);
        return Ok(Versions::Latest(
            usize::try_from(count).unwrap_or(usize::MAX),
        ));
    }
    let Some(specific) = policy.last("specific") else {
        return Ok(Versions::All);
    };
    let these = message("specific", specific)?.all("versions");
    let version = |value| {
        let number = number("versions", value)?;
        let version = u32::try_from(number).ok().and_then(Version::new);
        version.ok_or_else(|| refused(format!("config.pbtxt: there is no version {number}")))
    };
    these
        .map(version)
        .collect::<Result<_, _>>()
        .map(Versions::These)
}

fn word<'a>(field: &str, value: &'a Value) -> Result<&'a str, Fault> {
    match value {
        Value::Word(text) | Value::Text(text) => Ok(text),
        Value::Message(_) => Err(kind(field, "a text")),
    }
}

fn number(field: &str, value: &Value) -> Result<u64, Fault> {
    word(field, value)?
        .parse()
        .map_err(|_| kind(field, "a number"))
}

fn message<'a>(field: &str, value: &'a Value) -> Result<&'a Message, Fault> {
    match value {
        Value::Message(message) => Ok(message),
        Value::Word(_) | Value::Text(_) => Err(kind(field, "{ … }")),
    }
}

fn kind(field: &str, expected: &str) -> Fault {
    refused(format!(
        "config.pbtxt: {} has a value of the wrong kind",
        clipped(field)
    ))
    .expected(expected)
}

/// The name of a file in a directory.
fn plain(name: &str) -> Result<String, Fault> {
    if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
        return Err(
            refused("config.pbtxt names a file that cannot be beside it")
                .expected("a file name without '/'")
                .got(clipped(name)),
        );
    }
    Ok(name.to_owned())
}

fn clipped(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
