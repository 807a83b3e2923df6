//! In the background: one after the other, when its model has served for a while and nobody wants for room.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nn_catalogue::PreparedKey;
use nn_shm::Blob;
use nn_tensor::Fault;
use tokio::time::{sleep, timeout};

use super::{Prepared, is_guests};
use crate::events::Kind;
use crate::lifecycle::state::State;
use crate::model::Model;
use crate::worker::{self, StartError, Startup};

/// How often one is begun that makes room for others, or finds none, before it is left to the model's next load.
const ATTEMPTS_MAX: u32 = 5;

/// How long it waits in all for those who want for room.
const FED_TIMEOUT: Duration = Duration::from_secs(600);

/// Why nothing was made.
enum NotMade {
    /// There was no room for it, or others wanted that; or the model went.
    Later,
    /// Trying again would not help.
    Never(String),
}

/// Under way while it lives.
struct UnderWay {
    prepared: Arc<Prepared>,
    key: PreparedKey,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.prepared.under_way().remove(&self.key);
    }
}

/// A model of an operator's has its first worker: has one made for its next, if there is none.
pub(crate) fn want(model: &Arc<Model>, startup: &Arc<Startup>) {
    let prepared = &startup.policy.prepared;
    let Some(store) = &prepared.store else { return };
    let has_no_bytes = is_guests(model) || model.is_remote();
    let (Ok(framework), false) = (model.framework(), has_no_bytes) else {
        return;
    };
    let runtime = model.status.borrow().runtime.clone();
    let threads = model.manifest.threads.unwrap_or(startup.threads);
    let key = prepared.key(model, framework, &runtime, threads);
    if store.has(&key) || prepared.given_up().contains(&key) {
        return;
    }
    if !prepared.under_way().insert(key) {
        return;
    }
    let under_way = UnderWay {
        prepared: Arc::clone(prepared),
        key,
    };
    let (model, startup) = (Arc::downgrade(model), Arc::clone(startup));
    tokio::spawn(async move { run(&under_way, &model, &startup).await });
}

async fn run(under_way: &UnderWay, model: &Weak<Model>, startup: &Arc<Startup>) {
    let UnderWay { prepared, key } = under_way;
    for _ in 0..ATTEMPTS_MAX {
        sleep(Duration::from_millis(startup.limits.prepare_after_ms)).await;
        let _turn = prepared.line.lock().await;
        let fed = startup.policy.spares.until_fed();
        if timeout(FED_TIMEOUT, fed).await.is_err() {
            continue;
        }
        let Some(model) = model.upgrade() else { return };
        match attempt(prepared, *key, &model, startup).await {
            Ok(()) => return,
            Err(NotMade::Later) => {}
            Err(NotMade::Never(why)) => {
                tracing::warn!(model = %model.id(), "nothing was prepared: {why}");
                prepared.give_up(*key);
                return;
            }
        }
    }
}

async fn attempt(
    prepared: &Prepared,
    key: PreparedKey,
    model: &Arc<Model>,
    startup: &Arc<Startup>,
) -> Result<(), NotMade> {
    let policy = &startup.policy;
    // Its bytes are held while it is loaded, and its place may be another's by then.
    if model.status.borrow().state != State::Ready {
        return Err(NotMade::Later);
    }
    let begun = Instant::now();
    let later = |_: Fault| NotMade::Later;
    let ticket = policy.admission.admit(model.need());
    let ticket = ticket.map_err(later)?;
    let mut unload = model.unload.subscribe();
    let made = tokio::select! {
        made = policy.spares.begin(worker::prepare(startup, model)) => made,
        // Whoever waits for a worker comes first.
        () = policy.spares.until_hungry() => return Err(NotMade::Later),
        _ = unload.wait_for(|unload| *unload) => return Err(NotMade::Later),
    };
    drop(ticket);
    let blob = made.map_err(|error| match error {
        StartError::Spawn(_) | StartError::Unread(_) | StartError::Late => NotMade::Later,
        other => NotMade::Never(worker::causes(&other)),
    })?;
    let bytes = blob.bytes();
    let kept = keep(prepared, key, blob).await?;
    if !kept {
        let max = startup.limits.prepared_bytes_max;
        let why =
            format!("it has {bytes} bytes; expected at most {max} (limits.prepared_bytes_max)");
        return Err(NotMade::Never(why));
    }
    // It went meanwhile, and what was made of it before with it.
    if *model.unload.borrow() {
        prepared.forget(model).await;
        return Ok(());
    }
    let told = format!("{bytes} bytes in {} ms", begun.elapsed().as_millis());
    tracing::info!(model = %model.id(), "prepared: {told}");
    model.tell(Kind::Prepared, &told);
    Ok(())
}

async fn keep(prepared: &Prepared, key: PreparedKey, blob: Blob) -> Result<bool, NotMade> {
    let Some(store) = prepared.store.clone() else {
        return Ok(false);
    };
    let kept = tokio::task::spawn_blocking(move || {
        let mapped = blob.map().map_err(|error| error.to_string())?;
        let kept = store.keep(key, mapped.as_ref());
        kept.map_err(|error| format!("{error}: {}", error.source))
    });
    kept.await
        .map_err(|_| NotMade::Later)?
        .map_err(NotMade::Never)
}
