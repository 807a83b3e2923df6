//! The start: everything that is in the state directory and in the repositories, as it was promised before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nn_catalogue::{Found, Manifest, Record, Records, Scan};
use nn_service::Notifier;
use nn_tensor::{Fault, ModelName, Version};

use super::artifact::ArtifactError;
use super::{Addition, Registry, artifact};
use crate::model::{Model, Source};

/// What reading one model may take at the start, however many there are: `limits.model_bytes_max` at 35 MB/s.
const READ_TIME: Duration = Duration::from_secs(60);

/// Everything in a repository; what is left out or ignored is told here.
pub(super) fn scan(dir: &Path) -> Vec<Found> {
    match nn_catalogue::scan(dir) {
        Ok(Scan { found, told }) => {
            for line in told {
                tracing::warn!(repository = %dir.display(), "{line}");
            }
            found
        }
        Err(error) => {
            tracing::error!(path = %dir.display(), "cannot read a model repository: {error}");
            Vec::new()
        }
    }
}

impl Registry {
    /// Takes in everything in the state directory and the repositories, and begins to load the current version of each
    /// name, and what was stored and had not answered yet. A model that cannot be read is reported and left out.
    pub(crate) fn restore(self: &Arc<Self>, repositories: &[PathBuf], notifier: &Notifier) {
        match self.store.sweep() {
            Ok(swept) if swept == nn_catalogue::Swept::default() => {}
            Ok(swept) => tracing::info!(?swept, "the state directory is swept"),
            Err(error) => tracing::error!("the state directory is not swept: {error}"),
        }
        for found in repositories.iter().flat_map(|dir| scan(dir)) {
            let _ = self.take_in(found);
            notifier.starting(READ_TIME);
        }
        let Records {
            readable,
            unreadable,
        } = self.store.records().unwrap_or_else(|error| {
            tracing::error!("no model is restored: {error}");
            Records::default()
        });
        for error in unreadable {
            tracing::error!("left out: {error}: {}", error.source);
        }
        let mut pending = Vec::new();
        for (name, record) in readable {
            pending.extend(self.take_record(&name, &record, notifier));
        }
        self.point_anew();
        for (_, current, model) in self.list() {
            if current {
                let _ = self.start(&model);
            }
        }
        for model in pending {
            tokio::spawn(Arc::clone(self).raise(model));
        }
    }

    /// A name's uploaded versions and its pointers. Gives the versions that are to become current once they answer.
    fn take_record(
        &self,
        name: &ModelName,
        record: &Record,
        notifier: &Notifier,
    ) -> Vec<Arc<Model>> {
        let mut pending = Vec::new();
        for (version, kept) in record.versions() {
            match self.take_kept(name, version, kept) {
                Ok(model) if kept.pending => pending.push(model),
                Ok(_) => {}
                Err(why) => tracing::error!(model = %name, %version, "left out: {why}"),
            }
            notifier.starting(READ_TIME);
        }
        let mut names = self.names();
        let entry = names.entry(name.clone()).or_default();
        let known = record.pointers();
        entry.pointers = known.clone();
        // What a repository has got since.
        for &version in entry.versions.keys() {
            let is_repository = record.kept(version).is_none();
            if is_repository && Some(version) > known.highest() {
                entry.pointers.take(version);
                pending.extend(entry.versions.get(&version).cloned());
            }
        }
        pending
    }

    fn take_kept(
        &self,
        name: &ModelName,
        version: Version,
        kept: &nn_catalogue::Kept,
    ) -> Result<Arc<Model>, Fault> {
        let unreadable =
            |error: nn_catalogue::StoreError| Fault::runtime(format!("{error}: {}", error.source));
        let blob = self.store.open_blob(&kept.sha256).map_err(unreadable)?;
        let artifact = artifact::read(&blob, &self.limits);
        let artifact = artifact.map_err(|error| Fault::runtime(error.to_string()))?;
        let got = nn_catalogue::Digest(artifact.sha256);
        if got != kept.sha256 {
            let (expected, got) = (kept.sha256.to_string(), got.to_string());
            let damaged = ArtifactError::Digest { expected, got };
            return Err(Fault::runtime(damaged.to_string()));
        }
        let text = kept.manifest.as_ref();
        let text = text.map(|digest| self.store.manifest(digest).map_err(unreadable));
        let manifest = match text.transpose()? {
            Some(text) => Manifest::parse(&text, |name| Err(Fault::not_found(name)))?,
            None => Manifest::default(),
        };
        self.insert(Addition {
            name: name.clone(),
            version: Some(version),
            source: Source::Uploaded,
            artifact,
            manifest,
        })
    }

    /// Where nothing says which version is current, or what says so is not there: the highest one.
    fn point_anew(&self) {
        for entry in self.names().values_mut() {
            let super::Entry { pointers, versions } = entry;
            let is_there = |version: Version| versions.contains_key(&version);
            if !pointers.current().is_some_and(is_there) {
                let had_one = pointers.current().is_some();
                // What was only staged, or has not answered yet, is nobody's current version.
                let may_be = |model: &Model| had_one || matches!(model.source, Source::Repository);
                let mut highest = versions.iter().rev().filter(|(_, model)| may_be(model));
                if let Some((&highest, _)) = highest.next()
                    && pointers.rollback(is_there).is_err()
                {
                    pointers.promote(highest);
                }
            }
            entry.pin();
        }
    }

    /// Reads a model that was found in a repository. One that cannot be read is reported and left out, and tried again
    /// when the repository is read again.
    pub(super) fn take_in(&self, found: Found) -> Option<Arc<Model>> {
        let (name, version) = (found.name.clone(), found.version);
        let taken = nn_catalogue::open_beneath(&found.root, &found.path)
            .map_err(|error| error.to_string())
            .and_then(|file| {
                let artifact = artifact::read_as(&file, &found.stamp, &self.limits);
                artifact.map_err(|error| error.to_string())
            })
            .and_then(|artifact| {
                let addition = Addition {
                    name: found.name,
                    version: Some(version),
                    source: Source::Repository,
                    artifact,
                    manifest: found.manifest,
                };
                self.insert(addition).map_err(|fault| fault.to_string())
            });
        match taken {
            Ok(model) => {
                self.found().insert((name, version));
                Some(model)
            }
            Err(why) => {
                tracing::error!(model = %name, %version, "left out: {why}");
                None
            }
        }
    }
}
