//! No crate in two versions, but for those in tidy-duplicates.toml with their reasons.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::graph::Graph;
use super::{Finding, packages};

const FILE: &str = "xtask/tidy-duplicates.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    /// Crate to reason.
    allow: BTreeMap<String, String>,
}

/// Checks what is built; crates of other platforms, which stand in the lock file too, do not count.
///
/// # Errors
/// When the list is not TOML of the expected form.
pub(crate) fn check(graph: &Graph, list: &str) -> Result<Vec<Finding>> {
    let allowed: Allowed = toml::from_str(list).context(FILE)?;
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in graph.packages() {
        versions
            .entry(&package.name)
            .or_default()
            .push(&package.version);
    }
    versions.retain(|_, found| found.len() > 1);
    let unexpected = versions
        .iter()
        .filter(|(name, _)| !allowed.allow.contains_key(**name))
        .map(|(name, found)| {
            let text = format!(
                "{name} is built in {} versions: {}",
                found.len(),
                found.join(", ")
            );
            Finding::new(Path::new("Cargo.lock"), 1, text)
        });
    let listed = allowed.allow.iter().filter_map(|(name, reason)| {
        let text = if !versions.contains_key(name.as_str()) {
            format!("{name} is no longer built in two versions: remove this line")
        } else if reason.trim().is_empty() {
            format!("{name} is allowed without a reason")
        } else {
            return None;
        };
        Some(Finding::new(
            Path::new(FILE),
            packages::line_of(list, name),
            text,
        ))
    });
    Ok(unexpected.chain(listed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[&str], list: &str) -> Vec<String> {
        let findings = check(&Graph::of(lines), list).unwrap();
        findings.into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn duplicate_is_found() {
        let found = texts(&["syn 2.0.0:", "syn 3.0.0:", "a:"], "[allow]\n");
        assert_eq!(found, ["syn is built in 2 versions: 2.0.0, 3.0.0"]);
    }

    #[test]
    fn duplicate_with_a_reason_is_allowed() {
        assert!(texts(&["syn 2.0.0:", "syn 3.0.0:"], "[allow]\nsyn = \"moving\"\n").is_empty());
    }

    #[test]
    fn needless_permission_is_found() {
        let found = texts(&["syn 2.0.0:"], "[allow]\nsyn = \"moving\"\n");
        assert_eq!(
            found,
            ["syn is no longer built in two versions: remove this line"]
        );
    }
}
