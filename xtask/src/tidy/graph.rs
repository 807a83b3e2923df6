//! Who depends on whom, as cargo resolved it. Plain data, asked for once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::process;

/// The platform that counts: elsewhere nothing of this runs, and other platforms' crates are not built.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// All packages in the build.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    packages: BTreeMap<String, Package>,
}

/// One package. Of a crate in two versions there are two.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Of this workspace's packages: Cargo.toml, relative to the checkout.
    pub(crate) manifest: Option<PathBuf>,
    /// What it needs when it runs or is built: keys of packages.
    pub(crate) needs: BTreeSet<String>,
    /// What only its tests need.
    pub(crate) tests_need: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_members: BTreeSet<String>,
    workspace_root: PathBuf,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
    version: String,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

// === impl Graph ===

impl Graph {
    /// Asks cargo, without network.
    ///
    /// # Errors
    /// When the lock file does not fit the manifests, or cargo answers something unknown.
    pub(crate) fn ask(root: &Path) -> Result<Self> {
        let mut cargo = process::cargo();
        cargo
            .args(["metadata", "--offline", "--locked", "--format-version", "1"])
            .args(["--filter-platform", PLATFORM])
            .current_dir(root);
        Self::parse(&process::output(&mut cargo)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let metadata: Metadata =
            serde_json::from_str(text).context("cargo metadata has another form than expected")?;
        let mut packages: BTreeMap<String, Package> = metadata
            .packages
            .into_iter()
            .map(|package| {
                let manifest = metadata.workspace_members.contains(&package.id).then(|| {
                    let path = &package.manifest_path;
                    path.strip_prefix(&metadata.workspace_root)
                        .unwrap_or(path)
                        .to_path_buf()
                });
                let found = Package {
                    name: package.name,
                    version: package.version,
                    manifest,
                    needs: BTreeSet::new(),
                    tests_need: BTreeSet::new(),
                };
                (package.id, found)
            })
            .collect();
        for node in metadata.resolve.nodes {
            let Some(package) = packages.get_mut(&node.id) else {
                continue;
            };
            for dependency in node.deps {
                let is_test = |kind: &DependencyKind| kind.kind.as_deref() == Some("dev");
                if dependency.dep_kinds.iter().any(|kind| !is_test(kind)) {
                    package.needs.insert(dependency.pkg.clone());
                }
                if dependency.dep_kinds.iter().any(is_test) {
                    package.tests_need.insert(dependency.pkg);
                }
            }
        }
        Ok(Self { packages })
    }

    /// How many packages there are.
    pub(crate) fn len(&self) -> usize {
        self.packages.len()
    }

    /// All packages.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.values()
    }

    /// The packages of this workspace.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages().filter(|package| package.manifest.is_some())
    }

    /// What a package names in its manifest, for tests too.
    pub(crate) fn direct<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = &'a Package> {
        package
            .needs
            .union(&package.tests_need)
            .filter_map(|key| self.packages.get(key))
    }

    /// The chain of names by which a package needs another, shortest first; tests do not count.
    pub(crate) fn chain(
        &self,
        from: &Package,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Option<Vec<String>> {
        let mut seen = BTreeSet::new();
        let mut border = vec![(from, vec![from.name.clone()])];
        while !border.is_empty() {
            let mut next = Vec::new();
            for (package, chain) in border {
                for key in &package.needs {
                    let Some(needed) = self.packages.get(key) else {
                        continue;
                    };
                    let chain = [chain.clone(), vec![needed.name.clone()]].concat();
                    if is_wanted(&needed.name) {
                        return Some(chain);
                    }
                    if seen.insert(key) {
                        next.push((needed, chain));
                    }
                }
            }
            border = next;
        }
        None
    }

    /// A graph for a test: lines `NAME VERSION: NEEDS…`; every package is of this workspace.
    #[cfg(test)]
    pub(crate) fn of(lines: &[&str]) -> Self {
        let parse = |line: &&str| {
            let (head, needs) = line.split_once(':').unwrap();
            let (name, version) = head.split_once(' ').unwrap_or((head, "1.0.0"));
            let package = Package {
                name: name.to_owned(),
                version: version.to_owned(),
                manifest: Some(PathBuf::from(name).join("Cargo.toml")),
                needs: needs.split_whitespace().map(str::to_owned).collect(),
                tests_need: BTreeSet::new(),
            };
            (head.to_owned(), package)
        };
        Self {
            packages: lines.iter().map(parse).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_names_each_step() {
        let graph = Graph::of(&["a: b", "b: c", "c:"]);
        let from = graph.packages.get("a").unwrap();
        let chain = graph.chain(from, |name| name == "c").unwrap();
        assert_eq!(chain, ["a", "b", "c"]);
    }

    #[test]
    fn chain_ends_in_a_circle() {
        let graph = Graph::of(&["a: b", "b: a"]);
        let from = graph.packages.get("a").unwrap();
        assert!(graph.chain(from, |name| name == "c").is_none());
    }

    #[test]
    fn test_dependency_is_told_from_a_normal_one() {
        let text = r#"{"packages": [
            {"id": "1", "name": "a", "version": "1.0.0", "manifest_path": "/r/a/Cargo.toml"},
            {"id": "2", "name": "b", "version": "1.0.0", "manifest_path": "/x/b/Cargo.toml"}],
            "workspace_members": ["1"], "workspace_root": "/r",
            "resolve": {"nodes": [{"id": "1", "deps": [{"pkg": "2", "dep_kinds": [{"kind": "dev"}]}]}]}}"#;
        let graph = Graph::parse(text).unwrap();
        let ours = graph.ours().next().unwrap();
        assert_eq!(ours.manifest.as_deref(), Some(Path::new("a/Cargo.toml")));
        assert!(ours.needs.is_empty());
        assert_eq!(graph.direct(ours).count(), 1);
    }
}
