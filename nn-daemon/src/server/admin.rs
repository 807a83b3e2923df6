//! The Admin service: what the daemon says of itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use nn_proto::v1::{self, admin_server};
use nn_sandbox::{Layer, LayerState, Need};
use nn_tensor::{Fault, ModelRef};
use nn_worker_wire::BUILD_ID;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::status::status;
use super::{events, logs, metrics, operator, quarantine, tenants};
use crate::config::Library;
use crate::context::Context;
use crate::framework::Framework;
use crate::jail::own::OwnJail;
use crate::worker::micros;

/// The daemon's own state for this machine's operators.
#[derive(Debug)]
pub(crate) struct Service {
    context: Arc<Context>,
}

impl Service {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl admin_server::Admin for Service {
    async fn list_quarantine(
        &self,
        request: Request<v1::ListQuarantineRequest>,
    ) -> Result<Response<v1::ListQuarantineResponse>, Status> {
        operator(&self.context, &request)?;
        let held = self.context.policy.quarantine.list();
        let quarantined = quarantine::told(&self.context, held);
        Ok(Response::new(v1::ListQuarantineResponse { quarantined }))
    }

    async fn lift_quarantine(
        &self,
        request: Request<v1::LiftQuarantineRequest>,
    ) -> Result<Response<v1::LiftQuarantineResponse>, Status> {
        operator(&self.context, &request)?;
        let which = request.into_inner().which;
        let lifted = quarantine::lift(&self.context, &which).await;
        lifted.map(Response::new).map_err(status)
    }

    type EventsStream = ReceiverStream<Result<v1::Event, Status>>;

    async fn events(
        &self,
        request: Request<v1::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        operator(&self.context, &request)?;
        let (out, answers) = mpsc::channel(events::AHEAD_MAX);
        tokio::spawn(events::send(
            Arc::clone(&self.context),
            request.into_inner(),
            out,
        ));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    type LogsStream = ReceiverStream<Result<v1::LogLine, Status>>;

    async fn logs(
        &self,
        request: Request<v1::LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        operator(&self.context, &request)?;
        let v1::LogsRequest { reference, follow } = request.into_inner();
        let found = reference
            .parse::<ModelRef>()
            .map_err(Fault::from)
            .and_then(|reference| self.context.registry.find(&reference));
        let model = found.map_err(status)?;
        let (out, answers) = mpsc::channel(logs::AHEAD_MAX);
        tokio::spawn(logs::send(Arc::clone(&self.context), model, follow, out));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    type MetricsStream = ReceiverStream<Result<v1::MetricsPart, Status>>;

    async fn metrics(
        &self,
        request: Request<v1::MetricsRequest>,
    ) -> Result<Response<Self::MetricsStream>, Status> {
        operator(&self.context, &request)?;
        let (out, answers) = mpsc::channel(metrics::AHEAD_MAX);
        tokio::spawn(metrics::send(Arc::clone(&self.context), out));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn drain(
        &self,
        request: Request<v1::DrainRequest>,
    ) -> Result<Response<v1::DrainResponse>, Status> {
        let peer = operator(&self.context, &request)?;
        let end = &self.context.end;
        end.want(peer);
        let drained = end.drained(&self.context.config.limits).await;
        let drained = drained.map_err(status)?;
        Ok(Response::new(v1::DrainResponse {
            in_flight: count(drained.in_flight),
            cut_off: count(drained.cut_off),
        }))
    }

    async fn tenants(
        &self,
        request: Request<v1::TenantsRequest>,
    ) -> Result<Response<v1::TenantsResponse>, Status> {
        operator(&self.context, &request)?;
        let which = request.into_inner().tenant;
        let told = tenants::told(&self.context, &which).map_err(status)?;
        Ok(Response::new(v1::TenantsResponse { tenants: told }))
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        // It names other clients' processes and the daemon's directories.
        operator(&self.context, &request)?;
        let context = &self.context;
        let config = &context.config;
        let sessions = context.sessions.all().into_iter().map(|session| {
            let (arena_bytes, graphs) = session.holdings();
            let told = |remote| context.tenancy.remotes().told(remote);
            v1::SessionStatus {
                tenant: session.tenant.as_str().to_owned(),
                peer_pid: session.peer.pid,
                peer_uid: session.peer.uid,
                in_flight: count(session.in_flight()),
                arena_bytes,
                graphs: count(graphs),
                age_us: micros(session.opened.elapsed()),
                peer_address: session.peer.remote.map(told).unwrap_or_default(),
            }
        });
        let limits = config.limits.list().into_iter();
        let limits = limits.map(|(name, value, unit)| v1::LimitStatus {
            name: name.into(),
            value,
            unit: unit.into(),
        });
        let ends = context.ends.list().into_iter();
        let ends = ends.map(|(cause, count)| v1::EndStatus {
            cause: cause.into(),
            count,
        });
        let stops = context.ends.stops.list().into_iter();
        let stops = stops.map(|(reason, count)| v1::StopStatus {
            reason: reason.into(),
            count,
        });
        let sockets = context.socket.parent().unwrap_or(&config.runtime_dir);
        Ok(Response::new(v1::StatusResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            build_id: BUILD_ID.into(),
            pid: std::process::id(),
            uptime_us: micros(context.started.elapsed()),
            state: if context.is_draining() {
                "DRAINING"
            } else {
                "READY"
            }
            .into(),
            runtime_dir: sockets.display().to_string(),
            state_dir: config.state_dir.display().to_string(),
            sessions: sessions.collect(),
            runtimes: runtimes(context),
            limits: limits.collect(),
            isolation: isolation(context),
            workers: count(context.workers().len()),
            arena_bytes: context.tenancy.arena_bytes(),
            worker_ends: ends.collect(),
            compute_stops: stops.collect(),
            sandbox_profile: context.plan.profile.name.into(),
            degraded: is_degraded(context),
            jails: context.jails.all().map(jail).collect(),
            remote: remote(context),
            worker_isolation: context.policy.isolation.name().into(),
            spares: count(context.registry.spares().len()),
            spares_missing: count(context.registry.spares_missing(&context.policy)),
            workers_memory_bytes: context.policy.admission.used(),
            quarantined: count(context.policy.quarantine.list().len()),
        }))
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn is_degraded(context: &Context) -> bool {
    let mut own = context.jails.all();
    !context.plan.unmet().is_empty() || own.any(|jail| !jail.plan.unmet().is_empty())
}

/// How remote engines are asked, where they may be.
fn remote(context: &Context) -> Option<v1::RemoteStatus> {
    let remotes = context.remotes.as_ref().ok()?;
    let ended = remotes.dialer.ended();
    Some(v1::RemoteStatus {
        endpoints: remotes.endpoints.clone(),
        available: ended.is_none(),
        detail: ended.unwrap_or_default(),
        pid: remotes.dialer.pid,
    })
}

/// One of our own processes.
fn jail(jail: &OwnJail) -> v1::JailStatus {
    let profile = jail.plan.profile;
    let layers = jail.plan.layers.iter().map(|state| {
        let rule = state.rule;
        let words = (rule.what, rule.without);
        told(rule.layer, rule.need, words, (&state.missing, &state.lacks))
    });
    v1::JailStatus {
        process: profile.process.into(),
        pid: jail.pid,
        profile: profile.name.into(),
        layers: layers.collect(),
        kernel: jail.kernel(),
    }
}

/// The frameworks, and relays where models may be computed elsewhere.
fn runtimes(context: &Context) -> Vec<v1::RuntimeStatus> {
    let relays = context.remotes.is_ok().then_some(Framework::KServe);
    let all = Framework::ALL.into_iter().chain(relays);
    all.map(|framework| runtime(context, framework)).collect()
}

/// The library, or why there is none; of relays their program.
fn made_of(context: &Context, framework: Framework) -> (bool, String) {
    let name = framework.name();
    if framework == Framework::KServe {
        let program = context.config.remote.as_ref().map(|remote| &remote.relay);
        let program = program.map_or_else(String::new, |relay| relay.display().to_string());
        return (context.remotes.is_ok(), program);
    }
    match context.config.library(framework) {
        Library::At(library) => (true, library.display().to_string()),
        Library::Missing(library) => (
            false,
            format!(
                "{} is not there: runtimes.{name} names it",
                library.display()
            ),
        ),
        Library::NotIn(places) => (
            false,
            format!("not found in {places:?}; set NN_RUNTIMES or runtimes.{name}"),
        ),
    }
}

fn runtime(context: &Context, framework: Framework) -> v1::RuntimeStatus {
    let (available, detail) = made_of(context, framework);
    let calls = framework.profile().map(|profile| {
        let names = profile.calls.iter().map(|call| call.name);
        names.collect::<BTreeSet<_>>().len()
    });
    let models = context.models();
    let sides = models.iter().flat_map(|model| model.sides());
    let runs = sides.filter(|side| side.framework() == Ok(framework));
    let workers = runs.map(|side| side.side_workers().len()).sum();
    v1::RuntimeStatus {
        backend: framework.name().into(),
        available,
        detail,
        profile: framework.profile_name().into(),
        system_calls: count(calls.unwrap_or_default()),
        workers: count(workers),
    }
}

/// What stands between a model and everything else, and what does not.
fn isolation(context: &Context) -> Vec<v1::ProtectionStatus> {
    let uid = "each model runs in a process of its own, which holds nothing but that model";
    let always = [
        ("process", uid),
        ("capabilities", "none, in any set, attested"),
        ("environment", "ORT_DISABLE_TELEMETRY=1 and nothing else"),
        (
            "memory",
            "models and arenas cannot be resized; readers cannot write; RLIMIT_DATA is the model's budget",
        ),
    ];
    let always = always.map(|(layer, detail)| v1::ProtectionStatus {
        layer: layer.into(),
        active: true,
        detail: detail.into(),
        need: "always".into(),
    });
    let mut all = Vec::from(always);
    all.push(v1::ProtectionStatus {
        layer: "cgroup".into(),
        active: context.cgroups.active,
        detail: context.cgroups.detail.clone(),
        need: "prefer".into(),
    });
    all.extend(context.plan.layers.iter().map(protection));
    all
}

fn protection(state: &LayerState) -> v1::ProtectionStatus {
    let layer = state.layer;
    let words = (layer.what(), layer.without());
    told(layer, state.need, words, (&state.missing, &state.lacks))
}

fn told(
    layer: Layer,
    need: Need,
    (what, without): (&str, &str),
    (missing, lacks): (&Option<String>, &Option<String>),
) -> v1::ProtectionStatus {
    let detail = match (missing, lacks) {
        (Some(why), _) => format!("{why}; without it, {without}"),
        (None, Some(lacks)) => format!("{what}; in part: {lacks}"),
        (None, None) => what.to_owned(),
    };
    v1::ProtectionStatus {
        layer: layer.name().into(),
        active: missing.is_none(),
        detail,
        need: match need {
            Need::Require => "require",
            Need::Prefer => "prefer",
        }
        .into(),
    }
}
