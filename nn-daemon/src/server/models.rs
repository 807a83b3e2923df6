//! The Models service: convert, call, convert.

use std::sync::Arc;

use nn_proto::CHUNK_BYTES_MAX;
use nn_proto::v1::{self, load_request, load_response, models_server};
use nn_tensor::{Code, Fault, ModelName, ModelRef};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::peer;
use super::status::status;
use super::upload::{PART, message, push};
use crate::context::Context;
use crate::lifecycle::policy::Isolation;
use crate::lifecycle::state::State;
use crate::model::{Model, Source};
use crate::quarantine::Whose;
use crate::registry::Upload;
use crate::shutdown::{leaving, unless_leaving};
use crate::worker::micros;

/// Model lifecycle for this daemon's operators.
#[derive(Debug)]
pub(crate) struct Service {
    context: Arc<Context>,
}

type Out = mpsc::Sender<Result<v1::LoadResponse, Status>>;

impl Service {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

fn reference(text: &str) -> Result<ModelRef, Fault> {
    Ok(text.parse::<ModelRef>()?)
}

#[tonic::async_trait]
impl models_server::Models for Service {
    type LoadStream = ReceiverStream<Result<v1::LoadResponse, Status>>;

    async fn load(
        &self,
        request: Request<Streaming<v1::LoadRequest>>,
    ) -> Result<Response<Self::LoadStream>, Status> {
        peer(&request)?.may_administer().map_err(status)?;
        let (out, answers) = mpsc::channel(8);
        let context = Arc::clone(&self.context);
        tokio::spawn(async move {
            let last = match load(&context, request.into_inner(), &out).await {
                Ok(model) => Ok(answer(load_response::Body::Loaded(model))),
                Err(fault) => Err(status(fault)),
            };
            let _ = out.send(last).await;
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn unload(
        &self,
        request: Request<v1::UnloadRequest>,
    ) -> Result<Response<v1::UnloadResponse>, Status> {
        peer(&request)?.may_administer().map_err(status)?;
        let reference = reference(&request.into_inner().reference).map_err(status)?;
        let unloaded = self
            .context
            .registry
            .unload(&reference)
            .await
            .map_err(status)?;
        let unloaded = unloaded.iter().map(|model| model.id()).collect();
        Ok(Response::new(v1::UnloadResponse { unloaded }))
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let peer = peer(&request)?;
        let all = self.context.registry.list();
        let named = all
            .iter()
            .map(|(_, current, model)| describe(&self.context, model, *current));
        // A digest tells which model somebody runs: that is their own business and the operator's.
        let uid = (peer.may_administer().is_err()).then_some(peer.uid);
        let guests = self.context.guests.list(uid);
        let guests = guests
            .iter()
            .map(|model| describe(&self.context, model, false));
        let models = named.chain(guests).collect();
        Ok(Response::new(v1::ListResponse { models }))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let reference = reference(&request.into_inner().reference).map_err(status)?;
        let model = self.context.registry.find(&reference).map_err(status)?;
        let all = self.context.registry.list();
        let current = all
            .iter()
            .any(|(_, current, other)| *current && Arc::ptr_eq(other, &model));
        Ok(Response::new(v1::DescribeResponse {
            model: Some(describe(&self.context, &model, current)),
            signature: model.signature().ok().map(|signature| (&*signature).into()),
            facts: Some(facts(&model.artifact.vetted.about)),
        }))
    }
}

fn facts(about: &nn_vet::About) -> v1::ModelFacts {
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

fn answer(body: load_response::Body) -> v1::LoadResponse {
    v1::LoadResponse { body: Some(body) }
}

async fn progress(out: &Out, stage: v1::LoadStage) {
    let body = load_response::Body::Progress(v1::LoadProgress {
        stage: stage.into(),
    });
    // A client that is gone does not stop the load: what it sent is complete.
    let _ = out.send(Ok(answer(body))).await;
}

async fn next(
    requests: &mut Streaming<v1::LoadRequest>,
) -> Result<Option<load_request::Body>, Fault> {
    Ok(message(requests).await?.and_then(|message| message.body))
}

async fn load(
    context: &Arc<Context>,
    mut requests: Streaming<v1::LoadRequest>,
    out: &Out,
) -> Result<v1::Model, Fault> {
    let Some(load_request::Body::Header(header)) = next(&mut requests).await? else {
        return Err(Fault::invalid_argument(
            "the first message of an upload must be its header",
        ));
    };
    let name = header.name.parse::<ModelName>()?;
    let [part] = header.parts.as_slice() else {
        return Err(Fault::invalid_argument("an ONNX model has one part")
            .expected("1")
            .got(header.parts.len().to_string()));
    };
    if part.name != PART {
        return Err(Fault::invalid_argument("an unknown part of an ONNX model")
            .expected(PART)
            .got(part.name.chars().take(64).collect::<String>()));
    }
    if context.is_draining() {
        return Err(leaving());
    }
    let (dir, limits) = (context.registry.incoming(), &context.config.limits);
    let mut upload = Upload::begin(&dir, header.format, part.bytes, &part.sha256, limits)?;
    while let Some(body) = next(&mut requests).await? {
        match body {
            load_request::Body::Chunk(chunk) => {
                upload = push(upload, chunk, CHUNK_BYTES_MAX).await?;
            }
            load_request::Body::Header(_) => {
                return Err(Fault::invalid_argument("a second header in one upload"));
            }
        }
    }
    upload.complete()?;
    progress(out, v1::LoadStage::Received).await;
    let model = context.registry.add(name, upload).await?;
    progress(out, v1::LoadStage::Stored).await;
    if header.no_wait {
        let answer = describe(context, &model, false);
        let context = Arc::clone(context);
        let loading = Arc::clone(&model);
        tokio::spawn(async move {
            if let Err(fault) = promote(&context, &loading).await {
                tracing::warn!(model = %loading.id(), "not loaded: {fault}");
            }
        });
        return Ok(answer);
    }
    progress(out, v1::LoadStage::Loading).await;
    promote(context, &model).await?;
    Ok(describe(context, &model, true))
}

/// Loads a version that is stored and makes it current. The end of the daemon says nothing against a model: what is
/// stored stays so.
async fn promote(context: &Context, model: &Arc<Model>) -> Result<(), Fault> {
    let promoted = unless_leaving(context, context.registry.promote(model));
    promoted.await.map_err(|fault| match fault.code {
        Code::Leaving => Fault::runtime("nn-daemon ended while it loaded the model").hint(format!(
            "{} is stored; load it again to make it current",
            model.id()
        )),
        _ => fault,
    })
}

/// One version, with the workers of all its units.
fn describe(context: &Context, model: &Model, current: bool) -> v1::Model {
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
        current,
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
    }
}

fn state(state: State) -> v1::ModelState {
    match state {
        State::Absent => v1::ModelState::Absent,
        State::Loading => v1::ModelState::Loading,
        State::Ready => v1::ModelState::Ready,
        State::Restarting => v1::ModelState::Restarting,
        State::Failed => v1::ModelState::Failed,
        State::Draining | State::Gone => v1::ModelState::Draining,
    }
}

/// Empty for all.
pub(super) fn told_tenant(whose: &Whose) -> String {
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
