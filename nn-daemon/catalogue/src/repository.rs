//! A directory of models in the layout that Triton, OpenVINO Model Server and TensorFlow Serving use. Read, never
//! written.
//!
//! ```text
//! DIR/NAME/VERSION/model.onnx
//! DIR/NAME/VERSION/model.xml   OpenVINO's IR, with model.bin; or another name, where it is the one XML file
//! DIR/NAME/model.toml          what the operator says of it, if anything
//! DIR/NAME/VERSION/model.toml  the same of one version: it counts instead. One that has remote engines compute it needs no
//!                              model file, and where NAME has no VERSION it is version 1
//! DIR/NAME/config.pbtxt        Triton's
//! ```

mod files;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nn_tensor::{Fault, ModelName, Version};

use crate::manifest::MANIFEST_BYTES_MAX;
use crate::triton::{Backend, CONFIG_BYTES_MAX, Config};
use crate::{Manifest, NotBeneath, Placement, Stamp, after_writes, open_beneath};
use files::Files;

pub use files::Piece;

/// What a repository holds.
#[derive(Debug, Default)]
pub struct Scan {
    /// By name, then version.
    pub found: Vec<Found>,
    /// What of it is not served, and why: a line each, for the operator.
    pub left_out: Vec<String>,
    /// What is without effect, likewise.
    pub ignored: Vec<String>,
}

/// One version of one model in a repository.
#[derive(Debug)]
pub struct Found {
    /// Its model's directory.
    pub name: ModelName,
    /// Its own directory.
    pub version: Version,
    /// The repository.
    pub root: PathBuf,
    /// The model's file by the name that it has there, and that of an IR's weights: to be opened by [`open_beneath`] when
    /// its bytes are wanted again.
    pub path: PathBuf,
    /// The same of the weights.
    pub weights: Option<PathBuf>,
    /// What is to be read now, one file or two, likewise; none of a model that remote engines compute and that has no file
    /// here.
    pub pieces: Vec<Piece>,
    /// What is said of it.
    pub manifest: Manifest,
}

/// Looks through a repository. What cannot be served is told, and keeps nothing else from being served. Fails where the
/// directory cannot be read.
pub fn scan(root: &Path) -> io::Result<Scan> {
    let mut scan = Scan::default();
    for (text, dir) in directories(root)? {
        match text.parse::<ModelName>() {
            Ok(name) => {
                if let Err(fault) = model(root, &name, &dir, &mut scan) {
                    scan.left_out.push(format!("{name} is left out: {fault}"));
                }
            }
            // Hidden directories are nobody's models: a version control's, a configuration manager's.
            Err(_) if text.starts_with('.') => {}
            Err(error) => scan
                .left_out
                .push(format!("a directory is left out: {error}")),
        }
    }
    scan.found
        .sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
    Ok(scan)
}

fn model(root: &Path, name: &ModelName, dir: &Path, scan: &mut Scan) -> Result<(), Fault> {
    let config = match text(root, &dir.join("config.pbtxt"), CONFIG_BYTES_MAX)? {
        Some(text) => Config::parse(&text)?,
        None => Config::default(),
    };
    if !config.ignored.is_empty() {
        let ignored: Vec<&str> = config.ignored.iter().map(String::as_str).collect();
        let ignored = ignored.join(", ");
        scan.ignored.push(format!(
            "{name}: config.pbtxt: without effect here: {ignored}"
        ));
    }
    let file = config.file();
    let common = manifest(root, dir);
    let there = there(root, dir, (file, &common))?;
    if there.is_empty() {
        let file = file.unwrap_or("model.onnx, nor VERSION/model.xml,");
        scan.left_out.push(format!(
            "{name} is left out: there is no VERSION/{file} in it"
        ));
    }
    let served = config.versions.of(&there.keys().copied().collect());
    for (version, (path, real, files)) in there
        .into_iter()
        .filter(|(version, _)| served.contains(version))
    {
        // What is wrong with one says nothing of the others.
        let said = files.and_then(|files| Ok((files, said(root, (dir, &real), &config, &common)?)));
        match said {
            Ok((files, manifest)) => {
                if let Some(other) = files.passed_over {
                    let without =
                        format!("{name}@{version}: {other}: without effect beside model.onnx");
                    scan.ignored.push(without);
                }
                let mut named = files
                    .pieces
                    .iter()
                    .filter_map(|piece| piece.path.file_name().map(|name| path.join(name)));
                scan.found.push(Found {
                    name: name.clone(),
                    version,
                    root: root.to_owned(),
                    path: named.next().unwrap_or_default(),
                    weights: named.next(),
                    pieces: files.pieces,
                    manifest,
                });
            }
            Err(fault) => scan
                .left_out
                .push(format!("{name}@{version} is left out: {fault}")),
        }
    }
    Ok(())
}

/// A version's directory, where that really lies, and its files.
type There = (PathBuf, PathBuf, Result<Files, Fault>);

/// The versions in a model's directory.
fn there(
    root: &Path,
    dir: &Path,
    (file, common): (Option<&str>, &Result<Option<Manifest>, Fault>),
) -> Result<BTreeMap<Version, There>, Fault> {
    let numbered = directories(dir).map_err(|error| unreadable(dir, &error))?;
    let versions = numbered.into_iter();
    let versions = versions.filter_map(|(text, path)| Some((text.parse().ok()?, path)));
    let mut versions: Vec<(Version, PathBuf)> = versions.collect();
    if versions.is_empty() && is_placed(common) {
        versions.push((Version::FIRST, dir.to_owned()));
    }
    let found = |(version, path): (Version, PathBuf)| {
        // Where a link leads just now; whoever has it lead elsewhere meanwhile has changed nothing here.
        let real = fs::canonicalize(&path).ok()?;
        let placed = || {
            let own = manifest(root, &real).transpose();
            let is_placed = own.map_or_else(|| is_placed(common), |own| is_placed(&own.map(Some)));
            is_placed.then(|| Ok(Files::none()))
        };
        let files = Files::of(&real, file).or_else(placed)?;
        Some((version, (path, real, files)))
    };
    Ok(versions.into_iter().filter_map(found).collect())
}

/// Whether remote engines compute what this is said of.
fn is_placed(said: &Result<Option<Manifest>, Fault>) -> bool {
    let said = said.as_ref().ok().and_then(Option::as_ref);
    said.is_some_and(|said| said.placement == Placement::KServe)
}

/// What is said of a version: by its own `model.toml` or else its model's, and by Triton's configuration.
fn said(
    root: &Path,
    (model, version): (&Path, &Path),
    config: &Config,
    common: &Result<Option<Manifest>, Fault>,
) -> Result<Manifest, Fault> {
    let mut said = match manifest(root, version)? {
        Some(own) => own,
        None => common.clone()?.unwrap_or_default(),
    };
    said.instances = said.instances.or(config.instances);
    if said.backend.is_empty() && config.backend == Some(Backend::OpenVino) {
        "openvino".clone_into(&mut said.backend);
    }
    label(root, model, config, &mut said)?;
    Ok(said)
}

/// `model.toml` of a directory, if there is one.
fn manifest(root: &Path, dir: &Path) -> Result<Option<Manifest>, Fault> {
    let Some(toml) = text(root, &dir.join("model.toml"), MANIFEST_BYTES_MAX)? else {
        return Ok(None);
    };
    Manifest::parse(&toml, |name| beside(root, dir, name)).map(Some)
}

/// Labels that Triton's configuration names, for outputs of which `model.toml` says none.
fn label(root: &Path, dir: &Path, config: &Config, manifest: &mut Manifest) -> Result<(), Fault> {
    for (output, file) in &config.label_files {
        if !manifest.labels.contains_key(output) {
            let labels = beside(root, dir, file)?
                .lines()
                .map(str::to_owned)
                .collect();
            manifest.labels.insert(output.clone(), labels);
        }
    }
    manifest.check()
}

/// A file that another names.
fn beside(root: &Path, dir: &Path, name: &str) -> Result<String, Fault> {
    let missing = || Fault::invalid_argument(format!("the file {name} is not there"));
    text(root, &dir.join(name), MANIFEST_BYTES_MAX)?.ok_or_else(missing)
}

/// The text of a file in the repository; `None` if there is no such file.
fn text(root: &Path, path: &Path, max: usize) -> Result<Option<String>, Fault> {
    let file = match open_beneath(root, path) {
        Ok(file) => file,
        Err(NotBeneath::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(Fault::invalid_argument(error.to_string())),
    };
    let found = Stamp::settled(&file).and_then(|found| after_writes(&file).map(|()| found));
    let found = found.map_err(|error| unreadable(path, &error))?;
    let mut text = String::new();
    let max = u64::try_from(max).unwrap_or(u64::MAX);
    let mut reader = (&file).take(max.saturating_add(1));
    let read = reader.read_to_string(&mut text);
    let now = file.metadata().map_err(|error| unreadable(path, &error))?;
    if Stamp::of(&now) != found {
        return Err(Fault::invalid_argument(format!(
            "{} was written while it was read",
            path.display()
        ))
        .hint("SIGHUP reads it again"));
    }
    let read = read.map_err(|error| unreadable(path, &error))?;
    if u64::try_from(read).unwrap_or(u64::MAX) > max {
        return Err(Fault::too_large(format!("{} is too large", path.display()))
            .expected(format!("at most {max} bytes")));
    }
    Ok(Some(text))
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::invalid_argument(format!("{} cannot be read: {error}", path.display()))
}

/// The directories in a directory, and links to such, by name.
fn directories(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = fs::read_dir(dir)?.filter_map(Result::ok);
    let named =
        entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    Ok(named.filter(|(_, path)| path.is_dir()).collect())
}

#[cfg(test)]
mod tests;
