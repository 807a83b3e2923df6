//! The licences of what is compiled into the programs, as their authors ask for: every crate with its licence, and each
//! text once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::tree;
use crate::process;
use crate::workspace::Workspace;

/// Names of files that hold a licence or a notice begin so, in upper case.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// Crates of others, by name and version.
type Crates<'a> = BTreeMap<(&'a str, &'a str), &'a Value>;

/// The whole text, for the programs of one target.
///
/// # Errors
/// When cargo does not tell what they are made of.
pub(crate) fn text(workspace: &Workspace, target: &str) -> Result<String> {
    let mut cargo = process::cargo();
    cargo.args(["metadata", "--format-version=1", "--offline", "--locked"]);
    cargo.args(["--filter-platform", target]);
    let told = process::output(cargo.current_dir(workspace.root()))?;
    let metadata: Value = serde_json::from_str(&told).context("cargo metadata is no JSON")?;
    let roots: Vec<&str> = tree::programs().collect();
    let crates = compiled_in(&metadata, &roots).context("cargo metadata has another form")?;
    Ok(write(&crates))
}

/// What is reached from the programs; not what only builds or tests them.
fn compiled_in<'a>(metadata: &'a Value, roots: &[&str]) -> Option<Crates<'a>> {
    let packages = metadata["packages"].as_array()?;
    let by_id: BTreeMap<&str, &Value> = packages
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let needs: BTreeMap<&str, Vec<&str>> = metadata["resolve"]["nodes"]
        .as_array()?
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, needed(node))))
        .collect();
    let is_root = |package: &Value| package["name"].as_str().is_some_and(|n| roots.contains(&n));
    let mut waiting: Vec<&str> = packages
        .iter()
        .filter(|package| is_root(package))
        .filter_map(|package| package["id"].as_str())
        .collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if reached.insert(id) {
            waiting.extend(needs.get(id).into_iter().flatten());
        }
    }
    let of_others = reached
        .into_iter()
        .filter_map(|id| by_id.get(id).copied())
        .filter(|package| !package["source"].is_null());
    let named = of_others.filter_map(|package| {
        let key = (package["name"].as_str()?, package["version"].as_str()?);
        Some((key, package))
    });
    Some(named.collect())
}

fn needed(node: &Value) -> Vec<&str> {
    let is_linked = |dependency: &&Value| {
        let mut kinds = dependency["dep_kinds"].as_array().into_iter().flatten();
        kinds.any(|kind| kind["kind"].is_null())
    };
    let dependencies = node["deps"].as_array().into_iter().flatten();
    dependencies
        .filter(is_linked)
        .filter_map(|dependency| dependency["pkg"].as_str())
        .collect()
}

fn write(crates: &Crates<'_>) -> String {
    let mut list = String::new();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((name, version), package) in crates {
        let licence = package["license"].as_str().unwrap_or("see its text below");
        list.push_str(&format!("{name} {version}: {licence}\n"));
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        for text in licences(Path::new(manifest)) {
            let of = texts.entry(text).or_default();
            of.push(format!("{name} {version}"));
        }
    }
    // By who comes first, so that the order is the list's.
    let mut texts: Vec<(String, Vec<String>)> = texts.into_iter().collect();
    texts.sort_by(|(_, a), (_, b)| a.cmp(b));
    let line = "=".repeat(80);
    let texts = texts.iter().map(|(text, of)| {
        let of = of.join(", ");
        format!("\n{line}\n{of}\n{line}\n\n{}\n", text.trim_end())
    });
    let head = "What is compiled into the programs, and by which licence. ONNX Runtime has its own beside it.\n\n";
    std::iter::once(head.to_owned() + &list)
        .chain(texts)
        .collect()
}

/// The texts beside a manifest. Some crates of a family have none of their own; their licence is in the list.
fn licences(manifest: &Path) -> BTreeSet<String> {
    let entries = manifest.parent().map(fs::read_dir);
    let entries = entries.into_iter().flatten().flatten().flatten();
    let named = entries.filter(|entry| {
        let name = entry.file_name().to_string_lossy().to_uppercase();
        NAMES.iter().any(|start| name.starts_with(start))
    });
    named
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::setup::Scratch;

    /// A program that links `a`, which links `b`; and is built by `c`.
    fn metadata(folder: &Path) -> Value {
        let package = |name: &str, source: Value| {
            let manifest = folder.join(name).join("Cargo.toml");
            json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT", "source": source, "manifest_path": manifest })
        };
        let need =
            |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let registry = || json!("registry");
        json!({
            "packages": [
                package("nnctl", Value::Null), package("a", registry()), package("b", registry()), package("c", registry()),
            ],
            "resolve": { "nodes": [
                { "id": "nnctl", "deps": [need("a", Value::Null), need("c", json!("build"))] },
                { "id": "a", "deps": [need("b", Value::Null)] },
                { "id": "b", "deps": [] },
                { "id": "c", "deps": [] },
            ] },
        })
    }

    #[test]
    fn what_is_linked_is_listed_and_what_only_builds_is_not() {
        let metadata = metadata(Path::new("/nowhere"));
        let crates = compiled_in(&metadata, &["nnctl"]).unwrap();
        let names: Vec<&str> = crates.keys().map(|(name, _)| *name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_text_that_two_crates_share_stands_once_and_names_both() {
        let scratch = Scratch::new(&std::env::temp_dir()).unwrap();
        for name in ["a", "b"] {
            fs::create_dir(scratch.path().join(name)).unwrap();
            fs::write(scratch.path().join(name).join("LICENSE-MIT"), "as is\n").unwrap();
        }
        let metadata = metadata(scratch.path());
        let text = write(&compiled_in(&metadata, &["nnctl"]).unwrap());
        assert!(text.contains("\na 1.0.0: MIT\nb 1.0.0: MIT\n"), "{text}");
        assert!(text.contains("\na 1.0.0, b 1.0.0\n"), "{text}");
        assert_eq!(text.matches("as is").count(), 1, "{text}");
    }
}
