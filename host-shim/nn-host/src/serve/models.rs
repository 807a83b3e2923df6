//! The models that routes list: ready before the first request is taken, and known to the client from then on, so that a
//! guest's `load_by_name` of them asks nobody.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use nn_client::Client;
use nn_tensor::{Code, Fault, ModelRef};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::serve::error::ServeError;
use crate::serve::site::Site;

/// Between two questions for a model that is not ready.
const PAUSE: Duration = Duration::from_millis(250);

/// So often it is looked whether the client still knows them: after a restart of the daemon, or when a name means
/// another version, it has to ask once.
const LOOK: Duration = Duration::from_secs(1);

/// One model of one tenant, and the first route that lists it. Of the site itself it keeps nothing: a reload replaces that.
struct Listed {
    route: String,
    client: Client,
    model: ModelRef,
}

fn listed(site: &Site) -> Vec<Listed> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for route in site.routes() {
        for model in &route.models {
            if seen.insert((route.account.tenant.clone(), model.clone())) {
                all.push(Listed {
                    route: route.name.clone(),
                    client: route.account.client.clone(),
                    model: model.clone(),
                });
            }
        }
    }
    all
}

/// Waits until all of them are ready, for as long as the site allows. Fails at once for one that is not there or may not
/// be used: waiting would not bring it.
pub(super) async fn ready(site: &Site) -> Result<(), ServeError> {
    let waited = site.limits.ready_max;
    let deadline = Instant::now() + waited;
    let listed = listed(site);
    if !listed.is_empty() {
        tracing::info!(
            "waiting for models that routes list, {} of them",
            listed.len()
        );
    }
    for Listed {
        route,
        client,
        model,
    } in listed
    {
        if let Err(fault) = wait(&client, &model, deadline).await {
            return Err(ServeError::NotReady {
                route,
                tenant: client.tenant().clone(),
                model,
                waited,
                fault: Box::new(fault),
            });
        }
        tracing::info!(%model, route, "ready");
    }
    Ok(())
}

async fn wait(client: &Client, model: &ModelRef, deadline: Instant) -> Result<(), Fault> {
    let mut last = Fault::new(Code::Timeout, "the model was not ready in time");
    loop {
        match timeout_at(deadline, client.resolve(&model.to_string())).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(fault)) if passes(&fault) => last = fault,
            Ok(Err(fault)) => return Err(fault),
            Err(_) => return Err(last),
        }
        if Instant::now() >= deadline {
            return Err(last);
        }
        sleep_until(deadline.min(Instant::now() + PAUSE)).await;
    }
}

/// Whether another attempt may end otherwise.
fn passes(fault: &Fault) -> bool {
    match fault.code {
        Code::Timeout
        | Code::RuntimeError
        | Code::Busy
        | Code::BackendCrashed
        | Code::Leaving
        | Code::Unknown => true,
        Code::InvalidArgument
        | Code::InvalidEncoding
        | Code::UnsupportedOperation
        | Code::TooLarge
        | Code::NotFound
        | Code::Security => false,
    }
}

/// Keeps them known until dropped. One that is gone is told once, and so is its return; requests that need it meanwhile
/// are told by the guest, or wait as for a daemon that is started anew.
pub(super) async fn keep(site: Arc<Site>) {
    let listed = listed(&site);
    drop(site);
    if listed.is_empty() {
        return;
    }
    let mut away = HashSet::new();
    loop {
        sleep(LOOK).await;
        for (
            index,
            Listed {
                route,
                client,
                model,
            },
        ) in listed.iter().enumerate()
        {
            match client.resolve(&model.to_string()).await {
                Ok(_) => {
                    if away.remove(&index) {
                        tracing::info!(%model, route, "ready again");
                    }
                }
                Err(fault) => {
                    if away.insert(index) {
                        tracing::warn!(%model, route, %fault, "a model that a route lists is not ready");
                    }
                }
            }
        }
    }
}
