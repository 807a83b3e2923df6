//! gRPC's health service: for the daemon, and for each model by any form of its name. SERVING only while a worker of it
//! answers, which is asked every other second while it computes nothing. Where each tenant has a worker of its own, one of
//! a tenant's that the client may act for; while none of these has asked for the model, it is enough that one would be
//! loaded for them.

use std::sync::Arc;
use std::time::Duration;

use nn_proto::health::health_check_response::ServingStatus;
use nn_proto::health::{HealthCheckRequest, HealthCheckResponse, health_server};
use nn_tensor::{Fault, ModelRef};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::models::may_see;
use super::peer;
use super::status::status;
use crate::context::Context;
use crate::lifecycle::state::State;
use crate::model::Model;
use crate::peer::{Connections, Peer, Place};

/// How often a status that is watched is looked at.
const TICK: Duration = Duration::from_millis(250);

/// How long a client may take no status.
const TAKEN_MAX: Duration = Duration::from_secs(10);

/// Watches at a time, and of one uid.
const WATCHES_MAX: usize = 256;
const WATCHES_PER_UID_MAX: u32 = 64;

/// The services that are the daemon's own.
const SERVICES: [&str; 5] = [
    "",
    "nn.v1.Inference",
    "nn.v1.Models",
    "nn.v1.Admin",
    "inference.GRPCInferenceService",
];

type Answer = Result<HealthCheckResponse, Status>;

/// Health, for whoever may connect.
#[derive(Debug)]
pub(crate) struct Service {
    context: Arc<Context>,
    watches: Arc<Semaphore>,
    by_uid: Arc<Connections>,
}

/// One watch's place, given up when dropped.
#[derive(Debug)]
struct Watching {
    _among_all: OwnedSemaphorePermit,
    _of_uid: Place,
}

impl Service {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
            by_uid: Arc::default(),
        }
    }

    /// A place for one watch more.
    fn place(&self, peer: Peer) -> Result<Watching, Fault> {
        let full = |max: u64, whose: &str| {
            Fault::busy(format!("too many statuses are watched{whose}"))
                .expected(format!("at most {max}"))
                .hint("end a watch, or ask by Check")
        };
        let of_uid = self.by_uid.enter(peer, WATCHES_PER_UID_MAX);
        let of_uid = of_uid.ok_or_else(|| full(WATCHES_PER_UID_MAX.into(), " by this user"))?;
        let among_all = Arc::clone(&self.watches).try_acquire_owned();
        let all = u64::try_from(WATCHES_MAX).unwrap_or(u64::MAX);
        Ok(Watching {
            _among_all: among_all.map_err(|_| full(all, ""))?,
            _of_uid: of_uid,
        })
    }
}

#[tonic::async_trait]
impl health_server::Health for Service {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let peer = peer(&request)?;
        let service = request.into_inner().service;
        match serving(&self.context, peer, &service) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("no such service or model")),
            known => Ok(Response::new(answer(known))),
        }
    }

    type WatchStream = ReceiverStream<Answer>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let peer = peer(&request)?;
        let place = self.place(peer).map_err(status)?;
        let (out, answers) = mpsc::channel(1);
        let service = request.into_inner().service;
        tokio::spawn(watch(
            Arc::clone(&self.context),
            peer,
            service,
            (out, place),
        ));
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

/// Sends each status that is another than the last, until the client goes or the daemon does.
async fn watch(
    context: Arc<Context>,
    peer: Peer,
    service: String,
    (out, _place): (mpsc::Sender<Answer>, Watching),
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = out.closed() => return,
        }
        let now = serving(&context, peer, &service);
        if told != Some(now) {
            // A client that takes nothing for so long has gone.
            let sent = timeout(TAKEN_MAX, out.send(Ok(answer(now)))).await;
            if !sent.is_ok_and(|sent| sent.is_ok()) {
                return;
            }
        }
        if context.is_draining() {
            return;
        }
        told = Some(now);
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

fn serving(context: &Context, peer: Peer, service: &str) -> ServingStatus {
    // Over TCP there is nothing of nn.v1.
    let is_there = peer.remote.is_none() || !service.starts_with("nn.v1.");
    let is_serving = if is_there && SERVICES.contains(&service) {
        true
    } else {
        let model = service.parse::<ModelRef>().ok();
        let model = model.and_then(|of| context.registry.find(&of).ok());
        let Some(model) = model.filter(|model| may_see(context, peer, model)) else {
            return ServingStatus::ServiceUnknown;
        };
        answers(context, peer, &model)
    };
    if is_serving && !context.is_draining() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

/// Whether calls of that client's are computed.
pub(super) fn answers(context: &Context, peer: Peer, model: &Arc<Model>) -> bool {
    let is_ready = |model: &Arc<Model>| model.active().status.borrow().state == State::Ready;
    if !model.is_split(context.policy.isolation) {
        return is_ready(model);
    }
    let mut units = model.units();
    units.retain(|unit| {
        let tenant = unit.whose.tenant();
        tenant.is_some_and(|tenant| context.tenancy.allow(peer, tenant).is_ok())
    });
    let quarantine = &context.policy.quarantine;
    let is_refused = quarantine
        .refuses(&model.artifact.sha256, &model.whose)
        .is_some();
    if units.is_empty() {
        return is_ready(model) && !is_refused;
    }
    units.iter().any(is_ready)
}
