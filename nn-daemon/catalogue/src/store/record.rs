//! One name's record, as it stands in a file. Records of earlier releases are read: what they do not say is empty.

use std::collections::BTreeMap;

use nn_tensor::Version;
use serde::{Deserialize, Serialize};

use crate::pointers::{Pointers, aliases_from};
use crate::{Digest, Landing, Placement};

/// What is kept of one name: its uploaded versions, and its pointers, which may also mean versions of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u32>,
    highest: u32,
    #[serde(default, skip_serializing_if = "is_false")]
    pinned: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    previous: Vec<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    placements: BTreeMap<String, String>,
    #[serde(default)]
    versions: BTreeMap<String, Kept>,
}

/// An uploaded version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Of the bytes: "onnx".
    pub format: String,
    /// Of the bytes, which are in the file of that name.
    pub sha256: Digest,
    /// It has been promised that it lands once it answers, and it has not answered yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pending: bool,
    /// Of its `model.toml`, if it has one, whose text is in the file of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// What becomes of it when it answers, while it is pending.
    #[serde(default, skip_serializing_if = "Landing::is_plain")]
    pub landing: Landing,
}

// Serde's signature.
fn is_false(value: &bool) -> bool {
    !value
}

impl Record {
    /// The name's pointers.
    #[must_use]
    pub fn pointers(&self) -> Pointers {
        let previous = self.previous.iter().copied().filter_map(Version::new);
        let mut pointers = Pointers::kept(
            self.current.and_then(Version::new),
            previous.collect(),
            Version::new(self.highest),
            aliases_from(&self.aliases),
            self.pinned,
        );
        for (version, placement) in &self.placements {
            if let (Ok(version), Ok(placement)) = (version.parse(), Placement::parse(placement)) {
                pointers.place(version, placement);
            }
        }
        pointers
    }

    /// The uploaded versions, the lowest first. What is no number is left out.
    #[must_use]
    pub fn versions(&self) -> Vec<(Version, &Kept)> {
        let version = |(text, kept)| Some((str::parse::<Version>(text).ok()?, kept));
        let mut versions: Vec<(Version, &Kept)> = self
            .versions
            .iter()
            .filter_map(|(text, kept): (&String, &Kept)| version((text, kept)))
            .collect();
        versions.sort_unstable_by_key(|(version, _)| *version);
        versions
    }

    /// One of them.
    #[must_use]
    pub fn kept(&self, version: Version) -> Option<&Kept> {
        self.versions.get(&version.to_string())
    }

    /// Whether a version has these bytes, or this text.
    #[must_use]
    pub fn names(&self, digest: &Digest) -> bool {
        let mut kept = self.versions.values();
        kept.any(|kept| kept.sha256 == *digest || kept.manifest == Some(*digest))
    }

    /// Whether nothing is left but the numbers that were given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let points = self.current.is_some()
            || self.pinned
            || !self.aliases.is_empty()
            || !self.placements.is_empty();
        self.versions.is_empty() && !points
    }

    pub(super) fn keep(&mut self, version: Version, kept: Kept) {
        self.highest = self.highest.max(version.get());
        self.versions.insert(version.to_string(), kept);
    }

    pub(super) fn settle(&mut self, version: Version) {
        if let Some(kept) = self.versions.get_mut(&version.to_string()) {
            (kept.pending, kept.landing) = (false, Landing::default());
        }
    }

    pub(super) fn forget(&mut self, version: Version) {
        self.versions.remove(&version.to_string());
    }

    pub(super) fn point(&mut self, pointers: &Pointers) {
        self.current = pointers.current().map(Version::get);
        self.highest = self.highest.max(pointers.highest().map_or(0, Version::get));
        self.pinned = pointers.is_pinned();
        self.previous = pointers.previous().iter().map(|v| v.get()).collect();
        let alias = |(alias, version): (&nn_tensor::Alias, &Version)| {
            (alias.as_str().to_owned(), version.get())
        };
        self.aliases = pointers.aliases().iter().map(alias).collect();
        let placements = pointers.placements().iter();
        let placed =
            |(version, of): (&Version, &Placement)| (version.to_string(), of.name().to_owned());
        self.placements = placements.map(placed).collect();
    }
}
