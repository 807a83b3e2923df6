//! The start: everything that is in the state directory and in the repositories, as it was promised before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nn_catalogue::{Found, Kept, Manifest, Placement, Record, Records, Scan, StoreError};
use nn_service::Notifier;
use nn_tensor::{Fault, ModelName, Reason, Version};

use super::rescan::Due;
use super::{Addition, Registry, artifact};
use crate::events::{Kind, Told};
use crate::lifecycle::state::Event;
use crate::model::{Artifact, Model, Origin, Source};

/// What reading one model may take at the start, however many there are: `limits.model_bytes_max` at 35 MB/s.
const READ_TIME: Duration = Duration::from_secs(60);

/// What was stored is not there, or is not what was stored. The log has the path.
fn lost(what: &str, error: &StoreError) -> Fault {
    let log_id = crate::telemetry::log_id();
    tracing::error!(log_id, "{error}: {}", error.source);
    Fault::of(Reason::BytesDamaged)
        .message(format!("{what} cannot be read"))
        .log_id(log_id)
}

impl Registry {
    /// Everything in a repository; what is left out or ignored is told here.
    pub(super) fn scan(&self, dir: &Path) -> Vec<Found> {
        let scan = nn_catalogue::scan(dir).unwrap_or_else(|error| {
            tracing::error!(path = %dir.display(), "cannot read a model repository: {error}");
            Scan::default()
        });
        for line in scan.left_out.iter().chain(&scan.ignored) {
            tracing::warn!(repository = %dir.display(), "{line}");
        }
        for line in &scan.left_out {
            let told = Told::new(Kind::LeftOut).because(line);
            self.events.tell_limited(told);
        }
        scan.found
    }

    /// Says that a version is not served, and why.
    pub(super) fn leave_out(&self, name: &ModelName, version: Version, why: &str) {
        tracing::error!(model = %name, %version, "left out: {why}");
        let told = Told::new(Kind::LeftOut).of(format!("{name}@{version}"));
        self.events.tell_limited(told.because(why));
    }

    /// Takes in everything in the state directory and the repositories, and begins to load the current version of each
    /// name, and what was stored and had not answered yet. A model that cannot be read is reported and left out.
    pub(crate) fn restore(self: &Arc<Self>, repositories: &[PathBuf], notifier: &Notifier) {
        match self.store.sweep() {
            Ok(swept) if swept == nn_catalogue::Swept::default() => {}
            Ok(swept) => tracing::info!(?swept, "the state directory is swept"),
            Err(error) => tracing::error!("the state directory is not swept: {error}"),
        }
        for found in repositories.iter().flat_map(|dir| self.scan(dir)) {
            if let Some(model) = self.take_in(found) {
                // However many there are: read again when it is loaded.
                model.artifact.release();
            }
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
        let (mut promised, mut news) = (Vec::new(), Vec::new());
        for (name, record) in readable {
            let (of_name, come) = self.take_record(&name, &record, notifier);
            promised.extend(of_name);
            news.extend(come);
        }
        let firsts = self.point_anew();
        self.begin(&firsts);
        news.retain(|due| {
            !due.versions
                .iter()
                .any(|model| firsts.contains(&model.name))
        });
        for due in promised.into_iter().chain(news) {
            tokio::spawn(Arc::clone(self).raise(due));
        }
    }

    /// A name's uploaded versions and its pointers. Gives what is to land once it answers: what has been promised, and
    /// what has come to a repository since.
    fn take_record(
        &self,
        name: &ModelName,
        record: &Record,
        notifier: &Notifier,
    ) -> (Vec<Due>, Option<Due>) {
        let mut promised = Vec::new();
        for (version, kept) in record.versions() {
            match self.take_kept(name, version, kept) {
                Ok(model) if kept.pending => promised.push(Due {
                    versions: vec![model],
                    landing: kept.landing.clone(),
                }),
                Ok(_) => {}
                Err(why) => self.leave_out(name, version, &why.to_string()),
            }
            notifier.starting(READ_TIME);
        }
        let mut names = self.names();
        let entry = names.entry(name.clone()).or_default();
        let known = record.pointers();
        entry.pointers = known.clone();
        for model in entry.versions.values() {
            Self::place_as_kept(&known, model);
        }
        // What a repository has got since.
        let come =
            |version: &Version| record.kept(*version).is_none() && Some(*version) > known.highest();
        let come: Vec<Arc<Model>> = {
            let all = entry.versions.iter();
            let new = all.filter(|(version, _)| come(version));
            new.map(|(_, model)| Arc::clone(model)).collect()
        };
        for model in &come {
            entry.pointers.take(model.version);
        }
        (promised, Due::news(come, &known))
    }

    fn take_kept(
        &self,
        name: &ModelName,
        version: Version,
        kept: &Kept,
    ) -> Result<Arc<Model>, Fault> {
        let failed = |fault: &Fault| {
            tracing::error!(model = %name, %version, "has failed: {fault}");
            // Whose it was is not known either: nobody's but the operators'.
            let manifest = Manifest {
                tenants: Some(BTreeSet::new()),
                ..Manifest::default()
            };
            (Origin::Lost(fault.clone()), 0, manifest)
        };
        let there = self.there(kept);
        let (origin, bytes, manifest) = match &there {
            Ok((bytes, manifest)) => {
                let origin = if kept.format == Placement::KServe.name() {
                    Origin::Elsewhere
                } else {
                    Origin::Stored(Arc::clone(&self.store))
                };
                (origin, *bytes, manifest.clone())
            }
            Err(fault) => failed(fault),
        };
        let model = self.insert(Addition {
            name: name.clone(),
            version: Some(version),
            source: Source::Uploaded,
            artifact: Artifact::unread(origin, kept.sha256.0, bytes, kept.format.clone()),
            manifest,
        })?;
        if let Err(fault) = there {
            model.advance(Event::Refused, Some(fault));
        }
        Ok(model)
    }

    /// How many bytes are kept of a version, and what is said of it. The bytes are read, and judged, when it is loaded.
    fn there(&self, kept: &Kept) -> Result<(u64, Manifest), Fault> {
        let bytes = self.store.blob_bytes(&kept.sha256);
        let bytes = bytes.map_err(|error| lost("the model's bytes", &error))?;
        let text = kept.manifest.as_ref();
        let text = text.map(|digest| self.store.manifest(digest));
        let text = text.transpose();
        let manifest = match text.map_err(|error| lost("its model.toml", &error))? {
            Some(text) => Manifest::parse(&text, |name| Err(Fault::not_found(name)))?,
            None => Manifest::default(),
        };
        Ok((bytes, manifest))
    }

    /// Where nothing says which version is current, or what says so is not there: the one before it, or the highest of a
    /// repository. Gives the names that had none.
    fn point_anew(&self) -> BTreeSet<ModelName> {
        let mut firsts = BTreeSet::new();
        for (name, entry) in self.names().iter_mut() {
            let super::Entry { pointers, versions } = entry;
            let is_there = |version: Version| versions.contains_key(&version);
            let was = pointers.current();
            if !was.is_some_and(is_there) && pointers.rollback(is_there).is_err() {
                // What was only staged, or has not answered yet, is nobody's current version.
                let is_repository = |model: &Arc<Model>| matches!(model.source, Source::Repository);
                let mut highest = versions.iter().rev();
                let highest = highest.find(|(_, model)| is_repository(model));
                if let Some((&highest, _)) = highest {
                    pointers.promote(highest);
                    firsts.insert(name.clone());
                } else if let Some(was) = was {
                    tracing::error!(
                        "{name} means {name}@{was}, which is not there: `nnctl promote` has it mean another"
                    );
                }
            }
            entry.pin();
        }
        firsts
    }

    /// Reads a model that was found in a repository; it is in memory then. One that cannot be read is reported and left out, and tried again
    /// when the repository is read again.
    pub(super) fn take_in(&self, found: Found) -> Option<Arc<Model>> {
        let (name, version) = (found.name.clone(), found.version);
        let read = if found.pieces.is_empty() {
            Ok(None)
        } else {
            artifact::read_as(&found, &self.limits).map(Some)
        };
        let taken = read.map_err(|error| error.to_string()).and_then(|sealed| {
            let origin = Origin::Found {
                root: found.root,
                path: found.path,
                weights: found.weights,
            };
            let read = |sealed| Artifact::read(origin, sealed);
            let artifact = sealed.map_or_else(Self::elsewhere, read);
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
                self.leave_out(&name, version, &why);
                None
            }
        }
    }
}
