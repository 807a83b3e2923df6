//! gRPC's health service: for the daemon, and for each model by any form of its name. SERVING only while a worker of it
//! answers, which is asked every other second while it computes nothing.

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
use crate::peer::Peer;

/// How often a status that is watched is looked at.
const TICK: Duration = Duration::from_millis(250);

/// How long a client may take no status.
const TAKEN_MAX: Duration = Duration::from_secs(10);

/// Watches at a time.
const WATCHES_MAX: usize = 256;

/// The services that are the daemon's own.
const SERVICES: [&str; 4] = ["", "nn.v1.Inference", "nn.v1.Models", "nn.v1.Admin"];

type Answer = Result<HealthCheckResponse, Status>;

/// Health, for whoever may connect.
#[derive(Debug)]
pub(crate) struct Service {
    context: Arc<Context>,
    watches: Arc<Semaphore>,
}

impl Service {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
        }
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
        let place = Arc::clone(&self.watches).try_acquire_owned();
        let place = place.map_err(|_| {
            let full = Fault::busy("too many statuses are watched");
            status(full.expected(format!("at most {WATCHES_MAX}")))
        })?;
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
    (out, _place): (mpsc::Sender<Answer>, OwnedSemaphorePermit),
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
    let is_serving = if SERVICES.contains(&service) {
        true
    } else {
        let model = service.parse::<ModelRef>().ok();
        let model = model.and_then(|of| context.registry.find(&of).ok());
        let Some(model) = model.filter(|model| may_see(context, peer, model)) else {
            return ServingStatus::ServiceUnknown;
        };
        model.status.borrow().state == State::Ready
    };
    if is_serving && !context.is_draining() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}
