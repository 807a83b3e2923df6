//! Models as clients are told of them.

use std::sync::atomic::Ordering;

use nn_proto::v1;

use crate::context::Context;
use crate::framework::Framework;
use crate::lifecycle::policy::Isolation;
use crate::lifecycle::state::State;
use crate::model::{Model, Source};
use crate::peer::Peer;
use crate::quarantine::Whose;
use crate::remote::endpoints::{Endpoint, name};
use crate::worker::{Worker, micros};

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
pub(super) fn card(model: &Model, is_operator: bool) -> v1::ModelCard {
    let manifest = &model.manifest;
    let kserve = manifest.kserve.as_ref();
    let wait = |wait: Option<std::time::Duration>| wait.map_or(0, micros);
    let tenants = model.access.tenants().into_iter().flatten();
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
        precision: manifest.precision.name().into(),
        remote_model: kserve.map_or(String::new(), |kserve| kserve.model.clone()),
        remote_version: kserve.map_or(String::new(), |kserve| kserve.version.clone()),
        falls_back: kserve.is_some_and(|kserve| kserve.falls_back),
        instances_min: manifest.instances.map_or(0, |instances| instances.min),
        instances_max: manifest.instances.map_or(0, |instances| instances.max),
        labels: labels
            .map(|(output, labels)| v1::OutputLabels {
                output: output.clone(),
                labels: labels.clone(),
            })
            .collect(),
    }
}

/// One version, with the workers of its units, as far as they are for a client to see.
pub(super) fn describe(context: &Context, peer: Peer, model: &Model) -> v1::Model {
    let standing = context.registry.standing(model);
    let active = model.active_ref();
    let status = active.status.borrow().clone();
    let computes = model.totals.seen();
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
        format: model.artifact.format.clone(),
        bytes: model.artifact.bytes,
        sha256: if model.has_file() {
            crate::registry::hex(&model.artifact.sha256)
        } else {
            String::new()
        },
        backend: active.framework().map_or("", Framework::name).into(),
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
        instances: instances(model, isolation)
            .into_iter()
            .filter_map(|instance| seen(context, peer, instance))
            .collect(),
        error: status.fault.map(Into::into),
        load_us: micros(status.load),
        computes_ok: computes.ok.count,
        computes_failed: computes.failed.count,
        isolation: isolation.name().into(),
        quarantined: refused
            .refuses(&active.artifact.sha256, &active.whose)
            .is_some(),
        aliases: standing
            .aliases
            .iter()
            .map(|alias| alias.as_str().to_owned())
            .collect(),
        next_back: standing.next_back,
        pinned: model.pinned.load(Ordering::Relaxed),
        latency: latency(model),
        placement: model.placement().name().into(),
        endpoints: endpoints(model, peer.may_administer().is_ok()),
        fallbacks: model.fallbacks(),
    }
}

/// Those that its `model.toml` names: where they are, and how they do, is for operators.
fn endpoints(model: &Model, is_operator: bool) -> Vec<v1::Endpoint> {
    let told = model.told_endpoints().into_iter().filter(|_| is_operator);
    let each = told.map(|Endpoint { address, state }| {
        let name = state.as_ref().map_or("", |of| name(of.breaker)).into();
        let (in_flight, failures, reason) = state.map_or_else(Default::default, |of| {
            (of.in_flight, of.failures, of.reason)
        });
        v1::Endpoint {
            address,
            state: name,
            in_flight,
            failures,
            reason,
        }
    });
    each.collect()
}

/// `None` before a compute gave outputs.
fn latency(model: &Model) -> Option<v1::Latency> {
    let seen = model.latencies.seen()?;
    Some(v1::Latency {
        computes: seen.computes,
        p50_us: seen.p50_us,
        p99_us: seen.p99_us,
        max_us: seen.max_us,
    })
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

/// What a client sees of a worker: operators all of it. To others one that serves everybody has no process, and a tenant's
/// own is there for those alone who may act for that tenant.
fn seen(context: &Context, peer: Peer, mut instance: v1::Instance) -> Option<v1::Instance> {
    if peer.may_administer().is_ok() {
        return Some(instance);
    }
    if instance.tenant.is_empty() {
        instance.pid = 0;
        return Some(instance);
    }
    let tenant = instance.tenant.parse().ok()?;
    let may_claim = context.tenancy.allow(peer, &tenant).is_ok();
    may_claim.then_some(instance)
}

/// The workers that serve all, or each tenant's; then the one that waits.
fn instances(model: &Model, isolation: Isolation) -> Vec<v1::Instance> {
    let units = model.units();
    let own = (!model.is_split(isolation)).then_some(model.active_ref());
    let units = own
        .into_iter()
        .chain(units.iter().map(|unit| unit.active_ref()));
    let mut instances: Vec<v1::Instance> = units.flat_map(instances_of).collect();
    if let Some(spare) = model.active_ref().own_spare() {
        instances.push(v1::Instance {
            pid: spare.pid,
            spare: true,
            memory_bytes: spare.memory_bytes(),
            ..v1::Instance::default()
        });
    }
    for (id, instance) in (0..).zip(&mut instances) {
        instance.id = id;
    }
    instances
}

/// Those that serve, and those that are missing; none where none will come unless something changes. What waits counts
/// towards the first.
fn instances_of(unit: &Model) -> Vec<v1::Instance> {
    let state = unit.status.borrow().state;
    if matches!(state, State::Absent | State::Failed) {
        return Vec::new();
    }
    let serving = unit.pool.serving();
    let least = unit.instances().min;
    let last = serving.last().map_or(0, |of| of.id.saturating_add(1));
    let mut waiting = unit.queue.len();
    let mut instances = Vec::new();
    for id in 0..last.max(least) {
        let of = serving.iter().find(|of| of.id == id);
        let worker = of.map(|of| of.worker.as_ref());
        if worker.is_none() && id >= least {
            continue;
        }
        let running = worker.map_or(0, Worker::in_flight);
        let in_flight = running.saturating_add(std::mem::take(&mut waiting));
        instances.push(v1::Instance {
            id,
            pid: worker.map_or(0, |worker| worker.pid),
            restarts: unit.pool.restarts(id),
            in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
            tenant: told_tenant(&unit.whose),
            spare: false,
            memory_bytes: worker.map_or(0, Worker::memory_bytes),
        });
    }
    instances
}
