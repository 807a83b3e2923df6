//! What a name means, changed: by a load, and by an operator. A change is written to the state directory first and holds
//! then; where it cannot be written, it does not hold.

use std::sync::Arc;

use nn_catalogue::Pointers;
use nn_tensor::{Alias, Fault, ModelName, ModelRef, Selector, Version};

use super::{Registry, unknown};
use crate::events::{Kind, Told};
use crate::model::Model;
use crate::peer::Peer;

/// How many loads in a row an upload waits for, its own included.
const LOAD_TURNS: u32 = 4;

/// What becomes of a version once it has answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Landing {
    /// It does not become current.
    pub(crate) staged: bool,
    /// An alias that stands for it from then on.
    pub(crate) alias: Option<Alias>,
    /// Its name's current version stays loaded from then on.
    pub(crate) pin: bool,
}

impl Registry {
    /// Loads an uploaded version and, once it is warm, has its name and its alias mean it. What the framework refuses is
    /// removed again.
    pub(crate) async fn land(
        self: &Arc<Self>,
        model: &Arc<Model>,
        landing: Landing,
        by: Option<Peer>,
    ) -> Result<(), Fault> {
        if let Err(fault) = self.warm(model).await {
            // What cannot be forgotten has been logged.
            let _ = self.discard(model, by).await;
            return Err(fault);
        }
        let pointed = self.point(&model.name, Some(model.version), |pointers| {
            // Unless a newer one is, which took less time to load.
            if !landing.staged && pointers.current() < Some(model.version) {
                pointers.promote(model.version);
            }
            if landing.pin {
                pointers.pin(true);
            }
            match landing.alias {
                Some(alias) => pointers.alias(alias, model.version).map(drop),
                None => Ok(()),
            }
        });
        pointed.await?;
        let standing = self.standing(model);
        tracing::info!(model = %model.id(), current = standing.current, "loaded");
        if standing.current {
            self.tell(Told::new(Kind::Promoted).of(model.id()), by);
        }
        for alias in standing.aliases {
            self.tell(
                Told::new(Kind::Alias)
                    .of(model.id())
                    .because(alias.as_str()),
                by,
            );
        }
        Ok(())
    }

    /// Loads what has been promised before the daemon's start, or has come to a repository, and has its name mean it,
    /// unless that means a higher version by then. What cannot be loaded now stays.
    pub(super) async fn raise(self: Arc<Self>, model: Arc<Model>) {
        let raised = async {
            self.warm(&model).await?;
            let pointed = self.point(&model.name, Some(model.version), |pointers| {
                if pointers.current() < Some(model.version) {
                    pointers.promote(model.version);
                }
                Ok::<_, Fault>(())
            });
            pointed.await
        };
        let id = model.id();
        if let Err(fault) = raised.await {
            tracing::error!(
                "{id} was to become current and does not answer: {fault}; `nnctl promote {id}` tries again"
            );
        } else if self.standing(&model).current {
            tracing::info!(model = %id, "current");
            self.tell(Told::new(Kind::Promoted).of(id), None);
        }
    }

    /// Has a name mean one version, which is loaded first.
    pub(crate) async fn promote(
        self: &Arc<Self>,
        model: &Arc<Model>,
        by: Option<Peer>,
    ) -> Result<(), Fault> {
        self.warm(model).await?;
        let pointed = self.point(&model.name, Some(model.version), |pointers| {
            pointers.promote(model.version);
            Ok::<_, Fault>(())
        });
        pointed.await?;
        tracing::info!(model = %model.id(), "current");
        self.tell(Told::new(Kind::Promoted).of(model.id()), by);
        Ok(())
    }

    /// Has a name mean again what it meant before, which is loaded first; gives that.
    pub(crate) async fn rollback(
        self: &Arc<Self>,
        name: &ModelName,
        by: Option<Peer>,
    ) -> Result<Arc<Model>, Fault> {
        let back = |pointers: &mut Pointers| {
            let names = self.names();
            let versions = names.get(name).map(|entry| &entry.versions);
            let is_there = |version| versions.is_some_and(|all| all.contains_key(&version));
            pointers.rollback(is_there)
        };
        let mut trial = self.pointers(name)?;
        let version = back(&mut trial)?;
        let model = self.version(name, version)?;
        self.warm(&model).await?;
        let pointed = self.point(name, Some(version), |pointers| {
            let again = back(pointers)?;
            if again == version {
                Ok(())
            } else {
                Err(Fault::busy("what the name means was changed meanwhile")
                    .hint("look at `nnctl list` and try again"))
            }
        });
        pointed.await?;
        tracing::info!(model = %model.id(), "current again");
        self.tell(Told::new(Kind::RolledBack).of(model.id()), by);
        Ok(model)
    }

    /// Has an alias stand for the version that a reference means; gives that.
    pub(crate) async fn set_alias(
        self: &Arc<Self>,
        reference: &ModelRef,
        alias: Alias,
        by: Option<Peer>,
    ) -> Result<Arc<Model>, Fault> {
        let model = self.find(reference)?;
        let version = model.version;
        let pointed = self.point(&model.name, Some(version), |pointers| {
            pointers.alias(alias.clone(), version).map(drop)
        });
        pointed.await?;
        tracing::info!(model = %model.id(), %alias, "has an alias");
        self.tell(
            Told::new(Kind::Alias)
                .of(model.id())
                .because(alias.as_str()),
            by,
        );
        Ok(model)
    }

    /// Has the current version of a name stay loaded, which is loaded first, or no longer; gives that.
    pub(crate) async fn set_pin(
        self: &Arc<Self>,
        name: &ModelName,
        pinned: bool,
        by: Option<Peer>,
    ) -> Result<Arc<Model>, Fault> {
        let model = self.find(&all_of(name))?;
        if pinned {
            self.warm(&model).await?;
        }
        let pointed = self.point(name, None, |pointers| {
            pointers.pin(pinned);
            Ok::<_, Fault>(())
        });
        pointed.await?;
        let kind = if pinned { Kind::Pinned } else { Kind::Unpinned };
        self.tell(Told::new(kind).of(model.id()), by);
        Ok(model)
    }

    /// Takes an alias away; gives the version that it stood for.
    pub(crate) async fn remove_alias(
        self: &Arc<Self>,
        name: &ModelName,
        alias: &Alias,
        by: Option<Peer>,
    ) -> Result<Arc<Model>, Fault> {
        let reference = ModelRef {
            name: name.clone(),
            selector: Selector::Alias(alias.clone()),
        };
        let model = self.find(&reference)?;
        let pointed = self.point(name, None, |pointers| {
            let gone = pointers.unalias(alias);
            gone.map(drop).ok_or_else(|| unknown(&reference))
        });
        pointed.await?;
        tracing::info!(model = %model.id(), %alias, "has lost an alias");
        let told = Told::new(Kind::Alias).of(model.id());
        self.tell(told.because(format!("{} removed", alias.as_str())), by);
        Ok(model)
    }

    /// Loads it, if it is not, and waits until it answers.
    async fn warm(&self, model: &Arc<Model>) -> Result<(), Fault> {
        self.start(model)?;
        // Its own load is bounded by load_ms_max; it may stand behind others first.
        let within = self.limits.load_max().saturating_mul(LOAD_TURNS);
        model.usable(within).await
    }

    /// Changes what a name means, on disk and then here. `answered` is a version that must be here, and that has answered.
    async fn point<E: Into<Fault>>(
        self: &Arc<Self>,
        name: &ModelName,
        answered: Option<Version>,
        change: impl FnOnce(&mut Pointers) -> Result<(), E>,
    ) -> Result<(), Fault> {
        let turn = Arc::clone(&self.pointing).lock_owned().await;
        let mut pointers = self.pointers(name)?;
        if let Some(version) = answered {
            self.version(name, version)?;
        }
        change(&mut pointers).map_err(Into::into)?;
        let (registry, of) = (Arc::clone(self), name.clone());
        // All of it in one go that nobody's leaving cuts in two.
        let changed = self.stored(move |store| {
            let _turn = turn;
            match answered {
                Some(version) => store.settle(&of, version, &pointers)?,
                None => store.point(&of, &pointers)?,
            }
            registry.point_to(&of, pointers);
            Ok(())
        });
        changed.await
    }

    /// What a name means from now on.
    fn point_to(&self, name: &ModelName, pointers: Pointers) {
        if let Some(entry) = self.names().get_mut(name) {
            // Another version may have been added meanwhile.
            let highest = entry.pointers.highest();
            entry.pointers = pointers;
            if let Some(highest) = highest {
                entry.pointers.take(highest);
            }
            entry.pin();
        }
        self.announce(name);
    }

    fn pointers(&self, name: &ModelName) -> Result<Pointers, Fault> {
        let names = self.names();
        let entry = names.get(name).filter(|entry| !entry.versions.is_empty());
        let entry = entry.ok_or_else(|| unknown(&all_of(name)))?;
        Ok(entry.pointers.clone())
    }

    fn version(&self, name: &ModelName, version: Version) -> Result<Arc<Model>, Fault> {
        let reference = ModelRef {
            name: name.clone(),
            selector: Selector::Version(version),
        };
        let gone = |fault: Fault| fault.got("a version that was unloaded meanwhile");
        self.find(&reference).map_err(gone)
    }
}

fn all_of(name: &ModelName) -> ModelRef {
    ModelRef {
        name: name.clone(),
        selector: Selector::Current,
    }
}
