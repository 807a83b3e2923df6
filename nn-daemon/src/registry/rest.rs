//! Which versions rest though there is room: those that nothing means and nobody holds, and those that have not been
//! used for as long as their `model.toml` says.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Registry, Standing};
use crate::lifecycle::measure;
use crate::model::Model;

/// So long nobody has to have used what nothing means any more: a rollback a moment later finds it loaded.
const FORGOTTEN: Duration = Duration::from_secs(2);

/// So long the side of a version that does not compute it has to have done nothing: workers here that have taken computes
/// over do so for longer than a moment.
const PASSIVE: Duration = Duration::from_secs(30);

/// How often it is looked whether there is anything to measure, where there is no framework.
const NOTHING: Duration = Duration::from_secs(60);

impl Registry {
    /// Measures what workers have of memory; gives how long to wait before the next time.
    pub(crate) async fn measure(&self) -> Duration {
        match &self.startup {
            Ok(startup) => measure::measure(startup).await,
            Err(_) => NOTHING,
        }
    }

    /// Has those rest that may.
    pub(crate) fn rest_idle(&self) {
        let Ok(startup) = &self.startup else { return };
        let isolation = startup.policy.isolation;
        let mut resting = Vec::new();
        let mut forgotten = Vec::new();
        for (_, _, model) in self.list() {
            if let Some(other) = model.sides().find(|side| !side.is_active())
                && other.used().elapsed() >= PASSIVE
                && other.may_rest(isolation)
            {
                resting.push(Arc::clone(other));
            }
            let side = model.active();
            let unused = side.used().elapsed();
            if !side.may_rest(isolation) {
                continue;
            }
            if model.manifest.keep_alive.is_some_and(|time| unused >= time) {
                resting.push(Arc::clone(side));
            } else if unused >= FORGOTTEN && !self.standing(&model).is_named() {
                forgotten.push(model);
            }
        }
        if !forgotten.is_empty() {
            // Asked once for all of them: sessions may hold many graphs.
            let sessions = self.sessions.all();
            let held = sessions.iter().flat_map(|session| session.held());
            let held: HashSet<*const Model> = held.collect();
            forgotten.retain(|model| !held.contains(&Arc::as_ptr(model)));
        }
        for side in resting {
            side.rest.notify_one();
        }
        for model in forgotten {
            model.active().rest.notify_one();
        }
    }
}

impl Standing {
    /// Whether a name, or an alias, means it.
    fn is_named(&self) -> bool {
        self.current || !self.aliases.is_empty()
    }
}
