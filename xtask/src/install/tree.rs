//! What an installation consists of: every file, where from and where to. It reads folders and writes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::documents::{Places, is_document};
use super::layout::Layout;
use super::units;

/// Programs that people and units start.
const PUBLIC: [&str; 3] = ["nn-daemon", "nn-host", "nnctl"];
/// Programs that the daemon starts.
const PRIVATE: [&str; 4] = ["nn-dialer", "nn-relay", "nn-spawner", "nn-worker"];
/// Guests to try an installation with.
const EXAMPLES: [&str; 1] = ["http-classify.wasm"];

/// Where things come from.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// The programs, as they are to be installed.
    pub(crate) programs: PathBuf,
    /// The native libraries that `setup` has fetched.
    pub(crate) runtimes: PathBuf,
    /// Guests that are too large to be checked in.
    pub(crate) guests: PathBuf,
    /// What the programs have written of themselves.
    pub(crate) manual: PathBuf,
    /// The licences of what is compiled in.
    pub(crate) notices: PathBuf,
}

/// A file of an installation.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its path below the root of the machine.
    pub(crate) to: PathBuf,
    pub(crate) content: Content,
    pub(crate) kind: Kind,
}

/// What is in it.
#[derive(Debug)]
pub(crate) enum Content {
    /// What is in that file.
    Copy(PathBuf),
    /// This.
    Text(String),
}

/// What it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To be executed.
    Program,
    /// To be read.
    Data,
    /// To be changed by the operator: never overwritten.
    Config,
}

/// A tree that grows.
#[derive(Debug, Default)]
struct Tree {
    entries: Vec<Entry>,
}

/// All programs, which are of one build.
pub(crate) fn programs() -> impl Iterator<Item = &'static str> {
    PUBLIC.into_iter().chain(PRIVATE)
}

/// All files, in the order of their paths.
///
/// # Errors
/// When a folder cannot be read, or ONNX Runtime has not been fetched.
pub(crate) fn collect(sources: &Sources, layout: &Layout) -> Result<Vec<Entry>> {
    let mut tree = Tree::default();
    for name in PUBLIC {
        tree.copy(
            sources.programs.join(name),
            layout.bin().join(name),
            Kind::Program,
        );
    }
    for name in PRIVATE {
        let to = layout.private().join(name);
        tree.copy(sources.programs.join(name), to, Kind::Program);
    }
    tree.runtimes(&sources.runtimes, &layout.private().join("runtimes"))?;
    tree.dist(&sources.root.join("dist"), layout)?;
    tree.manual(&sources.manual, layout)?;
    tree.documents(&sources.root, layout)?;
    tree.copy(
        sources.notices.clone(),
        layout.share().join("doc/nn-daemon/THIRD-PARTY-NOTICES.txt"),
        Kind::Data,
    );
    tree.examples(sources, &layout.share().join("nn-daemon/examples"));
    let mut entries = tree.entries;
    entries.sort_by(|a, b| a.to.cmp(&b.to));
    if let Some(twice) = entries.windows(2).find(|two| two[0].to == two[1].to) {
        bail!("{} would be installed twice", twice[0].to.display());
    }
    Ok(entries)
}

// === impl Tree ===

impl Tree {
    fn copy(&mut self, from: PathBuf, to: PathBuf, kind: Kind) {
        self.entries.push(Entry {
            to,
            content: Content::Copy(from),
            kind,
        });
    }

    fn text(&mut self, text: String, to: PathBuf, kind: Kind) {
        self.entries.push(Entry {
            to,
            content: Content::Text(text),
            kind,
        });
    }

    /// Everything below a folder, as it lies there.
    fn folder(&mut self, from: &Path, to: &Path) -> Result<()> {
        for file in files(from)? {
            self.copy(from.join(&file), to.join(&file), Kind::Data);
        }
        Ok(())
    }

    /// With the licences that lie beside the libraries.
    fn runtimes(&mut self, from: &Path, to: &Path) -> Result<()> {
        if !from.join("onnxruntime").is_dir() {
            bail!(
                "{} is not there\nhint: `cargo xtask setup` fetches it",
                from.join("onnxruntime").display()
            );
        }
        self.folder(from, to)
    }

    /// Units and their kin, with the paths of this installation; configuration.
    fn dist(&mut self, from: &Path, layout: &Layout) -> Result<()> {
        for file in files(from)? {
            let Some((to, kind)) = place_of(&file, layout) else {
                bail!(
                    "nothing says where dist/{} is installed\nhint: xtask/src/install/tree.rs does",
                    file.display()
                );
            };
            let text = units::at_home(&read(&from.join(&file))?, layout);
            self.text(text, to, kind);
        }
        Ok(())
    }

    fn manual(&mut self, from: &Path, layout: &Layout) -> Result<()> {
        let share = layout.share();
        self.folder(&from.join("man"), &share.join("man"))?;
        self.folder(
            &from.join("bash"),
            &share.join("bash-completion/completions"),
        )?;
        self.folder(&from.join("zsh"), &layout.zsh())?;
        self.folder(&from.join("fish"), &share.join("fish/vendor_completions.d"))
    }

    /// Everything to be read, with the links and the paths of this installation.
    fn documents(&mut self, root: &Path, layout: &Layout) -> Result<()> {
        let places = Places::of(root, layout)?;
        for (from, to) in places.iter() {
            let to = to.to_path_buf();
            if is_document(from) {
                let text = places.at_home(&read(&root.join(from))?, from)?;
                self.text(text, to, Kind::Data);
            } else if from.starts_with("dist") {
                let text = units::at_home(&read(&root.join(from))?, layout);
                self.text(text, to, Kind::Data);
            } else {
                self.copy(root.join(from), to, Kind::Data);
            }
        }
        Ok(())
    }

    /// Those that have been built.
    fn examples(&mut self, sources: &Sources, to: &Path) {
        for name in EXAMPLES {
            let places = [sources.root.join("guests/bin"), sources.guests.clone()];
            let mut built = places.iter().map(|place| place.join(name));
            if let Some(from) = built.find(|path| path.is_file()) {
                self.copy(from, to.join(name), Kind::Data);
            }
        }
    }
}

/// Where a file of dist/ belongs.
fn place_of(file: &Path, layout: &Layout) -> Option<(PathBuf, Kind)> {
    let (lib, etc) = (layout.lib(), layout.etc());
    if file == Path::new("nn-daemon.toml") {
        return Some((etc.join("nn-daemon/nn-daemon.toml"), Kind::Config));
    }
    let folders = [
        ("systemd", lib.join("systemd/system"), Kind::Data),
        ("sysusers.d", lib.join("sysusers.d"), Kind::Data),
        ("tmpfiles.d", lib.join("tmpfiles.d"), Kind::Data),
        ("nn-host", etc.join("nn-host"), Kind::Config),
    ];
    folders.into_iter().find_map(|(folder, to, kind)| {
        let below = file.strip_prefix(folder).ok()?;
        Some((to.join(below), kind))
    })
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The files below a folder, by their paths in it; none where there is no such folder. Hidden ones do not count.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        find(folder, Path::new(""), &mut found)
            .with_context(|| format!("{} cannot be read", folder.display()))?;
    }
    Ok(found)
}

fn find(folder: &Path, below: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            find(folder, &path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}
