//! Models as clients are told of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nn_catalogue::Manifest;
use nn_proto::v1;

use crate::context::Context;
use crate::lifecycle::policy::Isolation;
use crate::lifecycle::state::State;
use crate::model::{Model, Source};
use crate::quarantine::Whose;
use crate::worker::micros;

pub(super) fn facts(about: &nn_vet::About) -> v1::ModelFacts {
    let sets = about.opsets.iter().cloned();
    let sets = sets.map(|(domain, version)| v1::OperatorSet { domain, version });
    v1::ModelFacts {
        ir_version: about.ir_version,
        producer: about.producer.clone(),
        producer_version: about.producer_version.clone(),
        operator_sets: sets.collect(),
        nodes: about.nodes,
        parameter_bytes: about.parameter_bytes,
    }
}

/// What its operator says; who may use it is for operators.
pub(super) fn card(manifest: &Manifest, is_operator: bool) -> v1::ModelCard {
    let wait = |wait: Option<std::time::Duration>| wait.map_or(0, micros);
    let tenants = manifest.tenants.iter().flatten();
    let labels = manifest.labels.iter();
    v1::ModelCard {
        description: manifest.description.clone(),
        licence: manifest.licence.clone(),
        source: manifest.source.clone(),
        tenants: tenants
            .filter(|_| is_operator)
            .map(|tenant| tenant.as_str().to_owned())
            .collect(),
        queue_max: manifest.queue_max.unwrap_or_default(),
        compute_us_max: wait(manifest.compute_max),
        load_us_max: wait(manifest.load_max),
        keep_alive_us: wait(manifest.keep_alive),
        threads: manifest.threads.unwrap_or_default(),
        labels: labels
            .map(|(output, labels)| v1::OutputLabels {
                output: output.clone(),
                labels: labels.clone(),
            })
            .collect(),
    }
}

/// One version, with the workers of all its units.
pub(super) fn describe(context: &Context, model: &Model) -> v1::Model {
    let standing = context.registry.standing(model);
    let status = model.status.borrow().clone();
    let (computes_ok, computes_failed) = model.counts();
    let isolation = if model.is_guests() {
        Isolation::Tenant
    } else {
        context.policy.isolation
    };
    let refused = &context.policy.quarantine;
    v1::Model {
        name: model.name.as_str().to_owned(),
        version: model.version.get(),
        current: standing.current,
        state: state(status.state).into(),
        format: model.artifact.vetted.format.into(),
        bytes: model.artifact.blob.bytes(),
        sha256: crate::registry::hex(&model.artifact.sha256),
        backend: "onnxruntime".into(),
        runtime: status.runtime,
        source: match model.source {
            Source::Uploaded => "uploaded".into(),
            Source::Repository => "repository".into(),
            Source::Guest(_) => "guest".into(),
        },
        tenant: match &model.source {
            Source::Guest(place) => place.owner().tenant.as_str().to_owned(),
            Source::Uploaded | Source::Repository => String::new(),
        },
        instances: instances(model, isolation),
        error: status.fault.map(Into::into),
        load_us: micros(status.load),
        computes_ok,
        computes_failed,
        isolation: isolation.name().into(),
        quarantined: refused
            .refuses(&model.artifact.sha256, &model.whose)
            .is_some(),
        aliases: standing
            .aliases
            .iter()
            .map(|alias| alias.as_str().to_owned())
            .collect(),
        next_back: standing.next_back,
        pinned: model.pinned.load(Ordering::Relaxed),
    }
}

fn state(state: State) -> v1::ModelState {
    match state {
        State::Absent => v1::ModelState::Absent,
        State::Loading => v1::ModelState::Loading,
        State::Warming => v1::ModelState::Warming,
        State::Ready => v1::ModelState::Ready,
        State::Restarting => v1::ModelState::Restarting,
        State::Failed => v1::ModelState::Failed,
        State::Draining | State::Gone => v1::ModelState::Draining,
    }
}

/// Empty for all.
pub(crate) fn told_tenant(whose: &Whose) -> String {
    let tenant = whose.tenant();
    tenant.map_or_else(String::new, |tenant| tenant.as_str().to_owned())
}

/// The worker that serves all, or each tenant's; then the one that waits.
fn instances(model: &Model, isolation: Isolation) -> Vec<v1::Instance> {
    let units = model.units();
    let own = (!model.is_split(isolation)).then_some(model);
    let units = own.into_iter().chain(units.iter().map(Arc::as_ref));
    let mut instances: Vec<v1::Instance> = units.filter_map(instance).collect();
    if let Some(spare) = model.own_spare() {
        instances.push(v1::Instance {
            pid: spare.pid,
            spare: true,
            memory_bytes: spare.resident_bytes(),
            ..v1::Instance::default()
        });
    }
    for (id, instance) in (0..).zip(&mut instances) {
        instance.id = id;
    }
    instances
}

/// `None` where there is none, nor will be unless something changes.
fn instance(unit: &Model) -> Option<v1::Instance> {
    let status = unit.status.borrow().clone();
    if matches!(status.state, State::Absent | State::Failed) {
        return None;
    }
    let worker = unit.worker.borrow().clone();
    let running = worker.as_ref().map_or(0, |worker| worker.in_flight());
    let in_flight = running.saturating_add(unit.queue.len());
    let pid = worker.as_ref().map_or(0, |worker| worker.pid);
    let memory_bytes = worker.map_or(0, |worker| worker.resident_bytes());
    Some(v1::Instance {
        id: 0,
        pid,
        restarts: status.restarts,
        in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
        tenant: told_tenant(&unit.whose),
        spare: false,
        memory_bytes,
    })
}
