//! What there is to tell at one moment, as text: counters as they stand, and the daemon's parts as they are. It is asked
//! on the thread that serves (ADR 7), so between parts it lets others have their turn.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use nn_worker_wire::{BUILD_ID, Breaker};
use tokio::task::yield_now;

use super::counts::{OfModel, OfTenant};
use super::table::Metric;
use super::text::{Family, Seconds, Text};
use super::{GUESTS, MODELS_MAX, OTHERS};
use crate::config::Library;
use crate::context::Context;
use crate::framework::Framework;
use crate::lifecycle::state::State;
use crate::model::Model;
use crate::remote::endpoints::Endpoint;
use crate::worker::{Worker, micros};

/// The states in which a version can be seen.
const STATES: [State; 7] = [
    State::Absent,
    State::Loading,
    State::Warming,
    State::Ready,
    State::Restarting,
    State::Failed,
    State::Draining,
];

/// Versions whose histograms are written before others have their turn.
const TURN: usize = 4;

/// A version's labels.
type Named = (String, String);

/// What a version, or some together, has now.
#[derive(Debug, Default)]
struct Now {
    waiting: u64,
    in_flight: u64,
    workers: u64,
    memory_bytes: u64,
    /// Of one alone.
    load_us: Option<u64>,
}

/// What a tenant has now.
#[derive(Debug, Default)]
struct Held {
    sessions: u64,
    in_flight: u64,
    arena_bytes: u64,
}

/// All of it.
pub(crate) async fn collect(context: &Context) -> String {
    let mut text = Text::default();
    let tenants = tenants(context);
    computes(&mut text, context, &tenants);
    yield_now().await;
    of_models(&mut text, context).await;
    now_of_models(&mut text, context);
    of_placed(&mut text, context);
    yield_now().await;
    of_tenants(&mut text, context, &tenants);
    yield_now().await;
    workers(&mut text, context);
    yield_now().await;
    daemon(&mut text, context);
    process(&mut text, context);
    text.into_string()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Every tenant that has counters, by its label; the others last.
fn tenants(context: &Context) -> Vec<(String, Arc<OfTenant>)> {
    let book = &context.sessions.metrics.tenants;
    let named = book.list().into_iter();
    let named = named.map(|(tenant, counts)| (tenant.as_str().to_owned(), counts));
    let others = (OTHERS.to_owned(), Arc::clone(book.others()));
    named.chain([others]).collect()
}

fn computes(text: &mut Text, context: &Context, tenants: &[(String, Arc<OfTenant>)]) {
    let mut family = text.family(Metric::Computes);
    let ok = tenants.iter().map(|(_, counts)| counts.ok());
    family.sample(&["ok"], ok.sum::<u64>());
    let mut failed = BTreeMap::new();
    for (code, number) in tenants.iter().flat_map(|(_, counts)| counts.failed()) {
        let sum: &mut u64 = failed.entry(code.name()).or_default();
        *sum = sum.saturating_add(number);
    }
    for (code, number) in failed {
        family.sample(&[code], number);
    }
    let sessions = context.sessions.all();
    let in_flight = sessions.iter().map(|session| count(session.in_flight()));
    text.one(Metric::InFlight, in_flight.sum::<u64>());
    listed(text.family(Metric::Stops), context.ends.stops.list());
}

fn listed<const N: usize>(mut family: Family<'_>, counts: [(&'static str, u64); N]) {
    for (name, number) in counts {
        family.sample(&[name], number);
    }
}

/// What was counted of each version that has computed.
async fn of_models(text: &mut Text, context: &Context) {
    let metrics = &context.sessions.metrics;
    let named = metrics.models.list().into_iter();
    let named =
        named.map(|((name, version), counts)| ((name.to_string(), version.to_string()), counts));
    let together = [
        (GUESTS, Arc::clone(&metrics.guests)),
        (OTHERS, Arc::clone(metrics.models.others())),
    ];
    let together = together.map(|(label, counts)| ((label.to_owned(), String::new()), counts));
    let all: Vec<(Named, Arc<OfModel>)> = named.chain(together).collect();

    let mut family = text.family(Metric::ModelComputes);
    for ((name, version), counts) in &all {
        family.sample(&[name, version, "ok"], counts.all.seen().all());
        for (code, number) in counts.failed().filter(|(_, number)| *number > 0) {
            family.sample(&[name, version, code.name()], number);
        }
    }
    yield_now().await;
    let mut family = text.family(Metric::ModelDuration);
    for turn in all.chunks(TURN) {
        for ((name, version), counts) in turn {
            family.histogram(&[name, version], &counts.all.seen());
        }
        yield_now().await;
    }
    let mut family = text.family(Metric::ModelStage);
    for turn in all.chunks(TURN) {
        for ((name, version), counts) in turn {
            for (stage, histogram) in counts.stages() {
                family.histogram(&[name, version, stage], &histogram.seen());
            }
        }
        yield_now().await;
    }
}

/// Of each version that remote engines may compute.
fn of_placed(text: &mut Text, context: &Context) {
    let mut placed = context.models();
    placed.retain(|model| model.manifest.kserve.is_some());
    placed.truncate(MODELS_MAX);
    let named = |model: &Model| (model.name.to_string(), model.version.to_string());
    let mut family = text.family(Metric::Fallbacks);
    for model in &placed {
        let (name, version) = named(model);
        family.sample(&[&name, &version], model.fallbacks());
    }
    let mut family = text.family(Metric::Endpoints);
    for model in &placed {
        let (name, version) = named(model);
        for Endpoint { address, state } in model.told_endpoints() {
            let is_asked = state.is_some_and(|state| state.breaker == Breaker::Closed);
            family.sample(&[&name, &version, &address], u64::from(is_asked));
        }
    }
}

/// What each version has now: those that are not at rest, the rest of them together, and guests' together.
fn now_of_models(text: &mut Text, context: &Context) {
    let mut all: BTreeMap<Named, Now> = BTreeMap::new();
    let mut states = BTreeMap::new();
    let together = |label: &str| (label.to_owned(), String::new());
    all.insert(together(GUESTS), Now::default());
    all.insert(together(OTHERS), Now::default());
    for model in context.models() {
        let (state, load) = {
            let status = model.active().status.borrow();
            (status.state, micros(status.load))
        };
        let number: &mut u64 = states.entry(state.name()).or_default();
        *number = number.saturating_add(1);
        if state == State::Absent {
            continue;
        }
        let own = !model.is_guests() && all.len() < MODELS_MAX;
        let named = match (model.is_guests(), own) {
            (true, _) => together(GUESTS),
            (false, true) => (model.name.to_string(), model.version.to_string()),
            (false, false) => together(OTHERS),
        };
        let now = all.entry(named).or_default();
        now.add(&model);
        now.load_us = own.then_some(load);
    }
    let mut each = |metric, of: fn(&Now) -> u64| {
        let mut family = text.family(metric);
        for ((name, version), now) in &all {
            family.sample(&[name, version], of(now));
        }
    };
    each(Metric::Waiting, |now| now.waiting);
    each(Metric::ModelInFlight, |now| now.in_flight);
    each(Metric::ModelWorkers, |now| now.workers);
    each(Metric::ModelMemory, |now| now.memory_bytes);
    let mut family = text.family(Metric::ModelLoad);
    for ((name, version), now) in &all {
        if let Some(load_us) = now.load_us {
            family.sample(&[name, version], Seconds(load_us));
        }
    }
    let mut family = text.family(Metric::States);
    for state in STATES.map(State::name) {
        family.sample(&[state], states.get(state).copied().unwrap_or_default());
    }
    let policy = &context.policy;
    text.one(Metric::Quarantined, policy.quarantine.list().len());
    let (prepared, bytes) = policy.prepared.kept();
    text.one(Metric::Prepared, prepared);
    text.one(Metric::PreparedBytes, bytes);
}

fn of_tenants(text: &mut Text, context: &Context, tenants: &[(String, Arc<OfTenant>)]) {
    let mut family = text.family(Metric::TenantComputes);
    for (tenant, counts) in tenants {
        family.sample(&[tenant, "ok"], counts.ok());
        for (code, number) in counts.failed().filter(|(_, number)| *number > 0) {
            family.sample(&[tenant, code.name()], number);
        }
    }
    let mut family = text.family(Metric::TenantFaults);
    for (tenant, counts) in tenants {
        for (reason, number) in counts.reasons() {
            family.sample(&[tenant, reason], number);
        }
    }
    let mut all: BTreeMap<&str, Held> = BTreeMap::new();
    for (tenant, _) in tenants {
        all.insert(tenant, Held::default());
    }
    for session in context.sessions.all() {
        if let Some(held) = of_tenant(&mut all, session.tenant.as_str()) {
            held.sessions = held.sessions.saturating_add(1);
            held.in_flight = held.in_flight.saturating_add(count(session.in_flight()));
        }
    }
    for (tenant, bytes) in context.tenancy.arena_bytes_by_tenant() {
        if let Some(held) = of_tenant(&mut all, tenant.as_str()) {
            held.arena_bytes = held.arena_bytes.saturating_add(bytes);
        }
    }
    let mut each = |metric, of: fn(&Held) -> u64| {
        let mut family = text.family(metric);
        for (tenant, held) in &all {
            family.sample(&[tenant], of(held));
        }
    };
    each(Metric::TenantSessions, |held| held.sessions);
    each(Metric::TenantInFlight, |held| held.in_flight);
    each(Metric::TenantArenas, |held| held.arena_bytes);
}

/// A tenant's own, or the others'.
fn of_tenant<'a>(all: &'a mut BTreeMap<&str, Held>, tenant: &str) -> Option<&'a mut Held> {
    let label = if all.contains_key(tenant) {
        tenant
    } else {
        OTHERS
    };
    all.get_mut(label)
}

fn workers(text: &mut Text, context: &Context) {
    let (serving, spares) = (context.workers(), context.registry.spares());
    let starts = &context.ends.starts;
    let states = [
        ("serving", count(serving.len())),
        ("spare", count(spares.len())),
        ("starting", starts.under_way()),
    ];
    listed(text.family(Metric::Workers), states);
    text.one(Metric::Starts, starts.begun());
    text.one(Metric::Restarts, starts.restarts());
    listed(text.family(Metric::Ends), context.ends.list());
    let loads = starts.loads.seen();
    text.family(Metric::Loads).histogram(&[], &loads);

    text.one(Metric::Arenas, context.tenancy.arena_bytes());
    let all = || serving.iter().chain(&spares);
    let own: u64 = all().map(|worker| worker.own_bytes()).sum();
    let whole: u64 = all().map(|worker| worker.measured_bytes()).sum();
    let kinds = [("own", own), ("shared", whole.saturating_sub(own))];
    listed(text.family(Metric::WorkerMemory), kinds);
    text.one(Metric::Budget, context.policy.admission.used());
}

fn daemon(text: &mut Text, context: &Context) {
    let mut family = text.family(Metric::Build);
    family.sample(&[env!("CARGO_PKG_VERSION"), BUILD_ID], 1);
    text.one(Metric::Draining, u8::from(context.is_draining()));
    let mut family = text.family(Metric::Runtimes);
    for framework in Framework::ALL {
        let is_there = matches!(context.config.library(framework), Library::At(_));
        family.sample(&[framework.name()], u8::from(is_there));
    }
    let mut family = text.family(Metric::Layers);
    for state in &context.plan.layers {
        let values = ["nn-worker", state.layer.name()];
        family.sample(&values, u8::from(state.missing.is_none()));
    }
    let groups = u8::from(context.cgroups.active);
    family.sample(&["nn-worker", "cgroup"], groups);
    for jail in [&context.jails.broker, &context.jails.spawner] {
        for state in &jail.plan.layers {
            let values = [jail.plan.profile.process, state.rule.layer.name()];
            family.sample(&values, u8::from(state.missing.is_none()));
        }
    }
}

fn process(text: &mut Text, context: &Context) {
    let usage = context.process.usage(&context.jails.broker);
    known(text, Metric::Cpu, usage.cpu_us.map(Seconds));
    known(text, Metric::Resident, usage.resident_bytes);
    known(text, Metric::Virtual, usage.virtual_bytes);
    known(text, Metric::Threads, usage.threads);
    known(text, Metric::Descriptors, usage.descriptors);
    known(text, Metric::DescriptorsMax, usage.descriptors_max);
    text.one(Metric::Started, usage.started_s);
}

fn known(text: &mut Text, metric: Metric, value: Option<impl Display>) {
    let mut family = text.family(metric);
    if let Some(value) = value {
        family.sample(&[], value);
    }
}

// === impl Now ===

impl Now {
    fn add(&mut self, model: &Arc<Model>) {
        let units = model.units();
        let all = [model].into_iter().chain(&units);
        let sides = all.flat_map(|version| version.sides());
        let queues = sides.map(|side| count(side.queue.len()));
        let waiting = queues.fold(0, u64::saturating_add);
        let workers = model.workers();
        let sum = |of: fn(&Worker) -> u64| -> u64 { workers.iter().map(|worker| of(worker)).sum() };
        self.waiting = self.waiting.saturating_add(waiting);
        self.in_flight = self
            .in_flight
            .saturating_add(sum(|worker| count(worker.in_flight())));
        self.workers = self.workers.saturating_add(count(workers.len()));
        self.memory_bytes = self
            .memory_bytes
            .saturating_add(sum(Worker::measured_bytes));
    }
}
