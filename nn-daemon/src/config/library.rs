//! The frameworks' libraries: where one is named, and where one is looked for.

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::prefix;
use crate::framework::Framework;

/// A framework's library, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Library {
    /// It is there.
    At(PathBuf),
    /// The configuration names it, and it is not there.
    Missing(PathBuf),
    /// It is in none of these places.
    NotIn(Vec<PathBuf>),
}

/// The newest library of a framework in the first place that has one; else the places.
pub(super) fn find(framework: Framework, own: &Path) -> Library {
    let mut places = Vec::new();
    places.extend(env::var_os("NN_RUNTIMES").map(PathBuf::from));
    places.extend(prefix(own).map(|prefix| prefix.join("lib/nn-daemon/runtimes")));
    places.push("/usr/lib/nn-daemon/runtimes".into());
    // target/debug/nn-daemon → target/nn/runtimes
    places.extend(prefix(own).map(|target| target.join("nn/runtimes")));
    places.dedup();
    let places: Vec<PathBuf> = places
        .into_iter()
        .map(|place| place.join(framework.name()))
        .collect();
    let newest = |place: &PathBuf| {
        let files = fs::read_dir(place)
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()));
        files.filter(|path| framework.is_library(path)).max()
    };
    match places.iter().find_map(newest) {
        Some(library) => Library::At(library),
        None => Library::NotIn(places),
    }
}

impl Library {
    pub(super) fn named(path: PathBuf) -> Self {
        if path.is_file() {
            Self::At(path)
        } else {
            Self::Missing(path)
        }
    }
}
