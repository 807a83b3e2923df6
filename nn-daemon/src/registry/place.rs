//! A version placed: computed here, or by the endpoints in its `model.toml`. The new side is loaded and answers first; then it
//! is written down and holds, and calls go there; what is in flight ends where it is, and the old side rests.

use std::sync::Arc;
use std::time::Duration;

use nn_catalogue::{Digest, Manifest, Placement, Pointers};
use nn_tensor::{Fault, ModelRef, Reason, Selector};
use tokio::time::{Instant, sleep};

use super::{Registry, pointing::LOAD_TURNS};
use crate::events::{Kind, Told};
use crate::lifecycle::{ensure_started, ensure_there};
use crate::model::{Artifact, Claim, Model, Origin};
use crate::peer::Peer;
use crate::remote::{Remotes, differs};

/// How often it is looked whether the old side has computed what it has.
const TICK: Duration = Duration::from_millis(20);

impl Registry {
    /// Fails where this daemon asks none of the endpoints that a `model.toml` names, if remote engines are to compute it.
    pub(crate) fn may_place(&self, manifest: &Manifest) -> Result<(), Fault> {
        if manifest.placement == Placement::Local {
            return Ok(());
        }
        let unsaid = || Fault::of(Reason::PlacementUnsaid);
        let kserve = manifest.kserve.as_ref().ok_or_else(unsaid)?;
        self.remotes()?.allows(kserve)
    }

    fn remotes(&self) -> Result<&Remotes, Fault> {
        let startup = self.startup.as_ref().map_err(Clone::clone)?;
        let remotes = startup.remotes.as_ref().map_err(Clone::clone);
        remotes.map(Arc::as_ref)
    }

    /// What there is here of a model that remote engines compute and that came without a file.
    pub(crate) fn elsewhere() -> Artifact {
        let format = Placement::KServe.name().to_owned();
        Artifact::unread(Origin::Elsewhere, Digest::of(b"").0, 0, format)
    }

    /// Has a version computed so.
    pub(crate) async fn place(
        self: &Arc<Self>,
        reference: &ModelRef,
        placement: Placement,
        by: Option<Peer>,
    ) -> Result<Arc<Model>, Fault> {
        let _turn = self.placing.lock().await;
        let model = self.find(reference)?;
        match placement {
            Placement::KServe => self.remotes()?.allows(model.kserve()?)?,
            Placement::Local if !model.has_file() => {
                return Err(Fault::of(Reason::PlacementFile));
            }
            Placement::Local => {}
        }
        if model.placement() == placement {
            return Ok(model);
        }
        let _claim = Claim::of(&model);
        self.raise_side(&model, placement).await?;
        let (name, version) = (model.name.clone(), model.version);
        // It may have been unloaded meanwhile.
        let still = ModelRef {
            name: name.clone(),
            selector: Selector::Version(version),
        };
        self.find(&still)?;
        let change = |pointers: &mut Pointers| {
            pointers.place(version, placement);
            Ok::<_, Fault>(())
        };
        let of = Arc::clone(&model);
        let pointed = self.point(&name, None, change, move |registry| {
            of.place(placement);
            registry.begin_units(&of);
            tracing::info!(model = %of.id(), placement = placement.name(), "placed");
            let told = Told::new(Kind::Placed).of(of.id());
            registry.tell(told.because(placement.name()), by);
        });
        pointed.await?;
        self.retire_passive(&model);
        Ok(model)
    }

    /// Loads the side that is to compute, everybody's and that of each tenant's unit that is loaded, and looks whether it is the
    /// same model.
    async fn raise_side(&self, model: &Arc<Model>, placement: Placement) -> Result<(), Fault> {
        let startup = self.startup.as_ref().map_err(Clone::clone)?;
        let within = self.limits.load_max().saturating_mul(LOAD_TURNS);
        let units = model.units();
        for version in [model].into_iter().chain(&units) {
            let side = version.side_of(placement);
            side.endpoints.try_anew();
            ensure_started(side, startup);
            side.own_usable(within).await?;
        }
        let side = model.side_of(placement);
        let (Ok(known), Some(new)) = (model.active().signatures(), side.learnt()) else {
            return Ok(());
        };
        match differs(&known.seen, &new.seen) {
            Some(fault) => {
                side.rest.notify_one();
                Err(fault)
            }
            None => Ok(()),
        }
    }

    /// Begins the side that computes now of each tenant's unit: of one that has come since the sides were raised it is not there
    /// yet, and whoever holds it calls without asking for it anew.
    fn begin_units(&self, model: &Arc<Model>) {
        let Ok(startup) = &self.startup else { return };
        for unit in model.units() {
            ensure_there(unit.active(), startup);
        }
    }

    /// Has the sides rest that compute nothing any more, once they have answered what they have.
    fn retire_passive(self: &Arc<Self>, model: &Arc<Model>) {
        let Ok(startup) = &self.startup else { return };
        let isolation = startup.policy.isolation;
        let patience = self.limits.compute_max() + self.limits.compute_grace();
        for version in [Arc::clone(model)].into_iter().chain(model.units()) {
            tokio::spawn(async move {
                let end = Instant::now() + patience;
                while Instant::now() < end {
                    // Somebody may have placed it back.
                    let Some(passive) = version.sides().find(|side| !side.is_active()) else {
                        return;
                    };
                    if passive.may_rest(isolation) {
                        return passive.rest.notify_one();
                    }
                    sleep(TICK).await;
                }
            });
        }
    }

    /// Has a name's versions computed as an operator has placed them before the daemon's start.
    pub(super) fn place_as_kept(pointers: &Pointers, model: &Model) {
        let Some(&placement) = pointers.placements().get(&model.version) else {
            return;
        };
        let can_be = match placement {
            Placement::Local => model.has_file(),
            Placement::KServe => model.kserve().is_ok(),
        };
        if can_be {
            model.place(placement);
        } else {
            let (model, placement) = (model.id(), placement.name());
            tracing::warn!(
                model,
                placement,
                "it was placed so, and its model.toml has changed"
            );
        }
    }
}
