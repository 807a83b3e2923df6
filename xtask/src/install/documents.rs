//! What is there to be read: documents, protocol, examples, defaults. A checkout and an installation have them in other
//! places, so links are turned to where their target is installed; one to something that stays with the source becomes
//! plain text.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

use super::layout::Layout;
use super::tree::files;

/// Documents of the root that go with it.
const ROOT: [&str; 4] = ["README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"];

/// Folders of the checkout that are installed as they are, by where below share/.
const FOLDERS: [(&str, &str); 4] = [
    ("docs", "doc/nn-daemon"),
    ("proto/nn/v1", "nn-daemon/proto/nn/v1"),
    ("guests/wit", "nn-daemon/examples"),
    ("sandbox-profiles", "nn-daemon/sandbox-profiles"),
];

/// Single files. The defaults arrive here by every update; configuration that is there is not overwritten.
const FILES: [(&str, &str); 3] = [
    ("guests/assets/coffee.jpg", "nn-daemon/examples/coffee.jpg"),
    ("dist/nn-daemon.toml", "nn-daemon/nn-daemon.toml"),
    ("dist/nn-host/example.toml", "nn-daemon/nn-host.toml"),
];

/// Places that documents name without a link, and where they are below share/.
const NAMED: [(&str, &str); 3] = [
    ("`guests/assets/coffee.jpg", "nn-daemon/examples/coffee.jpg"),
    ("`guests/wit/", "nn-daemon/examples/"),
    ("`proto/nn/v1/", "nn-daemon/proto/nn/v1/"),
];

/// Where each file of the checkout is installed; both below their root.
#[derive(Debug)]
pub(crate) struct Places {
    places: BTreeMap<PathBuf, PathBuf>,
    share: PathBuf,
}

/// Whether it has links.
pub(crate) fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

// === impl Places ===

impl Places {
    /// Those of a checkout.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub(crate) fn of(root: &Path, layout: &Layout) -> Result<Self> {
        let share = layout.share();
        let mut places = BTreeMap::new();
        for name in ROOT {
            places.insert(name.into(), share.join("doc/nn-daemon").join(name));
        }
        for (from, to) in FOLDERS {
            for file in files(&root.join(from))? {
                places.insert(Path::new(from).join(&file), share.join(to).join(&file));
            }
        }
        for (from, to) in FILES {
            places.insert(from.into(), share.join(to));
        }
        Ok(Self { places, share })
    }

    /// From where to where.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Path, &Path)> {
        let places = self.places.iter();
        places.map(|(from, to)| (from.as_path(), to.as_path()))
    }

    /// A document of the checkout, with the links of the installed one.
    ///
    /// # Errors
    /// When it is none of those that are installed.
    pub(crate) fn at_home(&self, text: &str, from: &Path) -> Result<String> {
        let to = self.places.get(from);
        let to = to.with_context(|| format!("{} is not installed", from.display()))?;
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, label, target, after)) = next_link(rest) {
            result.push_str(before);
            result.push_str(&self.link(label, target, from, to));
            rest = after;
        }
        result.push_str(rest);
        for (named, place) in NAMED {
            let place = format!("`/{}", self.share.join(place).display());
            result = result.replace(named, &place);
        }
        Ok(result)
    }

    fn link(&self, label: &str, target: &str, from: &Path, to: &Path) -> String {
        let (file, part) = match target.find('#') {
            Some(at) => target.split_at(at),
            None => (target, ""),
        };
        if file.is_empty() || file.contains("://") {
            return format!("[{label}]({target})");
        }
        let wanted = resolve(from.parent().unwrap_or(Path::new("")), Path::new(file));
        match self.places.get(&wanted) {
            Some(place) => {
                let folder = to.parent().unwrap_or(Path::new(""));
                format!("[{label}]({}{part})", relative(folder, place).display())
            }
            None => label.to_owned(),
        }
    }
}

/// The text before the next link, its label, its target, and the text after it.
fn next_link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let mut searched = 0;
    loop {
        let middle = searched + text.get(searched..)?.find("](")?;
        searched = middle + 2;
        let begin = text[..middle].rfind('[');
        let end = text[searched..].find(')').map(|at| searched + at);
        if let (Some(begin), Some(end)) = (begin, end) {
            let (label, target) = (&text[begin + 1..middle], &text[searched..end]);
            // In code, as `f[x](y)`, there is no path; a link's label may span lines, its target has no spaces.
            if !target.is_empty() && !target.contains(char::is_whitespace) {
                return Some((&text[..begin], label, target, &text[end + 1..]));
            }
        }
    }
}

/// A path from a folder, without `..`.
fn resolve(folder: &Path, path: &Path) -> PathBuf {
    let mut result = folder.to_path_buf();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                result.pop();
            }
            Component::Normal(name) => result.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    result
}

/// How to get from a folder to a file; both below one root.
fn relative(folder: &Path, file: &Path) -> PathBuf {
    let shared = folder
        .components()
        .zip(file.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = folder
        .components()
        .skip(shared)
        .map(|_| Component::ParentDir);
    up.chain(file.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    fn places() -> Places {
        let pairs = [
            ("README.md", "usr/share/doc/nn-daemon/README.md"),
            ("docs/a.md", "usr/share/doc/nn-daemon/a.md"),
            ("dist/d.toml", "usr/share/nn-daemon/d.toml"),
        ];
        Places {
            places: pairs.map(|(from, to)| (from.into(), to.into())).into(),
            share: "usr/share".into(),
        }
    }

    #[test]
    fn links_lead_to_where_their_targets_are_installed() {
        let text =
            "[a](a.md#b), [r](../README.md), [`d`](../dist/d.toml), [w](https://x.y/z), [h](#h)";
        let wanted = "[a](a.md#b), [r](README.md), [`d`](../../nn-daemon/d.toml), [w](https://x.y/z), [h](#h)";
        assert_eq!(
            places().at_home(text, Path::new("docs/a.md")).unwrap(),
            wanted
        );
        let text = "[docs/a.md](docs/a.md)";
        let home = places().at_home(text, Path::new("README.md")).unwrap();
        assert_eq!(home, "[docs/a.md](a.md)");
    }

    #[test]
    fn a_link_to_what_stays_with_the_source_becomes_text() {
        let text = "see [the source](src/lib.rs); `total[Symbol.dispose]()`";
        let home = places().at_home(text, Path::new("README.md")).unwrap();
        assert_eq!(home, "see the source; `total[Symbol.dispose]()`");
    }

    #[test]
    fn what_a_document_names_is_named_where_it_is_installed() {
        let text = "`proto/nn/v1/*.proto`";
        let home = places().at_home(text, Path::new("README.md")).unwrap();
        assert_eq!(home, "`/usr/share/nn-daemon/proto/nn/v1/*.proto`");
    }

    #[test]
    fn every_link_in_the_documents_of_an_installation_leads_to_an_installed_file() {
        let workspace = Workspace::find().unwrap();
        let layout = Layout::new(Path::new("/usr")).unwrap();
        let places = Places::of(workspace.root(), &layout).unwrap();
        let installed: Vec<&Path> = places.iter().map(|(_, to)| to).collect();
        let mut dead = Vec::new();
        let documents = places.iter().filter(|(from, _)| is_document(from));
        for (from, to) in documents {
            let text = std::fs::read_to_string(workspace.root().join(from)).unwrap();
            let text = places.at_home(&text, from).unwrap();
            let mut rest = text.as_str();
            while let Some((_, _, target, after)) = next_link(rest) {
                let file = target.split('#').next().unwrap();
                let wanted = resolve(to.parent().unwrap(), Path::new(file));
                let is_local = !file.is_empty() && !file.contains("://");
                if is_local && !installed.contains(&wanted.as_path()) {
                    dead.push(format!("{}: {target}", to.display()));
                }
                rest = after;
            }
        }
        assert_eq!(dead, Vec::<String>::new());
    }
}
