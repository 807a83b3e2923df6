//! What a name means, changed: by a load, and by an operator. What it is to mean is loaded first, and claimed until it does.
//! A change is written to the state directory and holds then, and is told; where it cannot be written, it does not hold.
//! Whoever leaves while a load is waited for has changed nothing; what is being written is written to its end.

use std::sync::Arc;

use nn_catalogue::{Landing, Pointers};
use nn_tensor::{Alias, Fault, ModelName, ModelRef, Selector, Version};

use super::{Registry, unknown};
use crate::events::{Kind, Told};
use crate::model::{Claim, Model};
use crate::peer::Peer;

/// How many loads in a row an upload waits for, its own included.
pub(super) const LOAD_TURNS: u32 = 4;

impl Registry {
    /// Loads it, if it is not, and waits until it answers. It stays loaded for as long as the claim is kept.
    pub(crate) async fn warm(&self, model: &Arc<Model>) -> Result<Claim, Fault> {
        let claim = Claim::of(model);
        self.start(model)?;
        // Its own load is bounded by load_ms_max; it may stand behind others first.
        let within = self.limits.load_max().saturating_mul(LOAD_TURNS);
        model.usable(within).await?;
        Ok(claim)
    }

    /// Fails where a version could not land as is asked, so that its bytes need not be sent.
    pub(crate) fn may_land(&self, name: &ModelName, landing: &Landing) -> Result<(), Fault> {
        let names = self.names();
        let pointers = names.get(name).map(|entry| &entry.pointers);
        pointers.map_or(Ok(()), |pointers| Ok(landing.check(pointers)?))
    }

    /// Has a name, and an alias, mean a version that answers, as was asked for.
    pub(crate) async fn land(
        self: &Arc<Self>,
        warm: Claim,
        landing: Landing,
        by: Option<Peer>,
    ) -> Result<(), Fault> {
        let model = Arc::clone(warm.model());
        let (name, version) = (model.name.clone(), model.version);
        let change = |pointers: &mut Pointers| landing.apply(version, pointers);
        let pointed = self.point(&name, Some(version), change, move |registry| {
            let standing = registry.standing(&model);
            tracing::info!(model = %model.id(), current = standing.current, "loaded");
            if standing.current {
                registry.tell(Told::new(Kind::Promoted).of(model.id()), by);
            }
            for alias in standing.aliases {
                let told = Told::new(Kind::Alias).of(model.id());
                registry.tell(told.because(alias.as_str()), by);
            }
        });
        pointed.await
    }

    /// Has a name mean a version that answers.
    pub(crate) async fn promote(
        self: &Arc<Self>,
        warm: Claim,
        by: Option<Peer>,
    ) -> Result<Arc<Model>, Fault> {
        let model = Arc::clone(warm.model());
        let (name, version) = (model.name.clone(), model.version);
        let change = |pointers: &mut Pointers| {
            pointers.promote(version);
            Ok::<_, Fault>(())
        };
        let id = model.id();
        let pointed = self.point(&name, Some(version), change, move |registry| {
            tracing::info!(model = %id, "current");
            registry.tell(Told::new(Kind::Promoted).of(id), by);
        });
        pointed.await.map(|()| model)
    }

    /// What a name meant before.
    pub(crate) fn previous(&self, name: &ModelName) -> Result<Arc<Model>, Fault> {
        let mut trial = self.pointers(name)?;
        let version = self.back(name, &mut trial)?;
        self.version(name, version)
    }

    fn back(&self, name: &ModelName, pointers: &mut Pointers) -> Result<Version, Fault> {
        let names = self.names();
        let versions = names.get(name).map(|entry| &entry.versions);
        let is_there = |version| versions.is_some_and(|all| all.contains_key(&version));
        Ok(pointers.rollback(is_there)?)
    }

    /// Has a name mean again what it meant before, which answers; gives that.
    pub(crate) async fn rollback(
        self: &Arc<Self>,
        warm: Claim,
        by: Option<Peer>,
    ) -> Result<Arc<Model>, Fault> {
        let model = Arc::clone(warm.model());
        let (name, version) = (model.name.clone(), model.version);
        let change = |pointers: &mut Pointers| {
            if self.back(&name, pointers)? == version {
                return Ok(());
            }
            Err(Fault::busy("what the name means was changed meanwhile")
                .hint("look at `nnctl list` and try again"))
        };
        let id = model.id();
        let pointed = self.point(&name, Some(version), change, move |registry| {
            tracing::info!(model = %id, "current again");
            registry.tell(Told::new(Kind::RolledBack).of(id), by);
        });
        pointed.await.map(|()| model)
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
        let of = (model.id(), alias.clone());
        let change = |pointers: &mut Pointers| pointers.alias(alias, version).map(drop);
        let pointed = self.point(&model.name, Some(version), change, move |registry| {
            let (id, alias) = of;
            tracing::info!(model = %id, %alias, "has an alias");
            let told = Told::new(Kind::Alias).of(id);
            registry.tell(told.because(alias.as_str()), by);
        });
        pointed.await.map(|()| model)
    }

    /// What a name means now.
    pub(crate) fn current(&self, name: &ModelName) -> Result<Arc<Model>, Fault> {
        self.find(&all_of(name))
    }

    /// Has the current version of a name stay loaded, or no longer; gives that.
    pub(crate) async fn set_pin(
        self: &Arc<Self>,
        name: &ModelName,
        pinned: bool,
        by: Option<Peer>,
    ) -> Result<Arc<Model>, Fault> {
        let model = self.current(name)?;
        let change = |pointers: &mut Pointers| {
            pointers.pin(pinned);
            Ok::<_, Fault>(())
        };
        let kind = if pinned { Kind::Pinned } else { Kind::Unpinned };
        let told = Told::new(kind).of(model.id());
        let pointed = self.point(name, None, change, move |registry| registry.tell(told, by));
        pointed.await.map(|()| model)
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
        let change = |pointers: &mut Pointers| {
            let gone = pointers.unalias(alias);
            gone.map(drop).ok_or_else(|| unknown(&reference))
        };
        let (id, gone) = (model.id(), alias.clone());
        let pointed = self.point(name, None, change, move |registry| {
            tracing::info!(model = %id, alias = %gone, "has lost an alias");
            let told = Told::new(Kind::Alias).of(id);
            registry.tell(told.because(format!("{} removed", gone.as_str())), by);
        });
        pointed.await.map(|()| model)
    }

    /// Changes what a name means, on disk and then here, and tells so. `answered` is a version that must be here, and that
    /// has answered.
    pub(super) async fn point<E: Into<Fault>>(
        self: &Arc<Self>,
        name: &ModelName,
        answered: Option<Version>,
        change: impl FnOnce(&mut Pointers) -> Result<(), E>,
        told: impl FnOnce(&Self) + Send + 'static,
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
            told(&registry);
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
        self.keep_pin(name);
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
