//! `cargo xtask tidy`: the rules that the compiler and clippy do not know, offline and in seconds.
//!
//! Each finding is a line `FILE:LINE: what is wrong`. The parts are pure functions over text; this file does the reading.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::output::{data, talk};
use crate::process;
use crate::workspace::Workspace;

mod code;
mod duplicates;
mod graph;
mod layers;
mod packages;
mod promises;
mod source;
mod steps;
mod text;

use graph::Graph;

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Relative to the checkout.
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// A file of the checkout that is text.
#[derive(Debug)]
pub(crate) struct Document {
    /// Relative to the checkout.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Checks every rule, and prints every finding before it fails.
///
/// # Errors
/// When there are findings, or cargo or git cannot be asked.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let documents = documents(workspace.root())?;
    let graph = Graph::ask(workspace.root())?;
    let allowed = workspace.root().join("xtask/tidy-duplicates.toml");
    let allowed = fs::read_to_string(&allowed)
        .with_context(|| format!("{} cannot be read", allowed.display()))?;

    let mut findings = BTreeSet::new();
    for document in &documents {
        findings.extend(source::check(document));
        findings.extend(text::check(document));
        findings.extend(packages::check(document));
    }
    findings.extend(promises::check(&documents));
    findings.extend(steps::check(&documents));
    findings.extend(layers::check(&graph, &documents));
    findings.extend(duplicates::check(&graph, &allowed)?);

    for finding in &findings {
        data(&finding.to_string());
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    talk(&format!(
        "tidy: {} files and {} packages keep the rules",
        documents.len(),
        graph.len()
    ));
    Ok(())
}

/// The text files that are tracked, or would be: what .gitignore names is left out.
fn documents(root: &Path) -> Result<Vec<Document>> {
    let mut git = process::command("git");
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ])
    .current_dir(root);
    let names = process::output(&mut git)?;
    let mut documents = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // A file may be tracked and deleted, or no text (a picture, a model, a guest).
        let Ok(content) = fs::read(root.join(name)) else {
            continue;
        };
        if let Ok(text) = String::from_utf8(content) {
            let path = PathBuf::from(name);
            documents.push(Document { path, text });
        }
    }
    Ok(documents)
}

// === impl Finding ===

impl Finding {
    /// A finding in a document; lines count from 1.
    pub(crate) fn new(file: &Path, line: usize, text: impl Into<String>) -> Self {
        Self {
            file: file.to_path_buf(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.text)
    }
}

// === impl Document ===

impl Document {
    /// Whether the path ends so.
    pub(crate) fn is(&self, extension: &str) -> bool {
        self.path
            .extension()
            .is_some_and(|found| found == extension)
    }

    /// A document for a test.
    #[cfg(test)]
    pub(crate) fn of(path: &str, text: &str) -> Self {
        Self {
            path: path.into(),
            text: text.to_owned(),
        }
    }
}
