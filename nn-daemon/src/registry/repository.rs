//! A directory of models in the layout that Triton, OpenVINO Model Server and TensorFlow Serving use:
//! `NAME/VERSION/model.onnx`. Read at the start; never written.

use std::fs;
use std::path::{Path, PathBuf};

use nn_tensor::{ModelName, Version};

/// A model file in a repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: ModelName,
    pub(crate) version: Version,
    pub(crate) path: PathBuf,
}

/// Every model in a repository, by name and version. What does not fit the layout is reported and
/// left out.
pub(crate) fn scan(dir: &Path) -> Vec<Found> {
    let mut found: Vec<Found> = entries(dir)
        .into_iter()
        .filter(|(_, path)| path.is_dir())
        .filter_map(|(name, path)| match name.parse::<ModelName>() {
            Ok(model) => Some((model, path)),
            Err(error) => {
                tracing::warn!(path = %path.display(), "left out of the repository: {error}");
                None
            }
        })
        .flat_map(|(name, path)| versions(&name, &path))
        .collect();
    found.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
    found
}

fn versions(name: &ModelName, dir: &Path) -> Vec<Found> {
    let version = |(text, path): (String, PathBuf)| {
        let path = path.join("model.onnx");
        Some(Found {
            name: name.clone(),
            version: text.parse().ok()?,
            path: path.is_file().then_some(path)?,
        })
    };
    let found: Vec<Found> = entries(dir).into_iter().filter_map(version).collect();
    if found.is_empty() {
        tracing::warn!(path = %dir.display(), "no VERSION/model.onnx in here");
    }
    found
}

fn entries(dir: &Path) -> Vec<(String, PathBuf)> {
    match fs::read_dir(dir) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok())
            .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
            .collect(),
        Err(error) => {
            tracing::error!(path = %dir.display(), "cannot read a model repository: {error}");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_the_layout_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "foo/1/model.onnx",
            "foo/12/model.onnx",
            "foo/x/model.onnx",
            "foo/3/other",
            ".git/1/model.onnx",
            "bar",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found: Vec<String> = scan(dir.path())
            .into_iter()
            .map(|f| format!("{}@{}", f.name, f.version))
            .collect();
        assert_eq!(found, ["foo@1", "foo@12"]);
    }
}
