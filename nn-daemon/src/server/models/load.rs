//! An operator's upload: header → bytes → stored → loaded → what its name means.

use std::convert::Infallible;
use std::sync::Arc;

use nn_catalogue::{Manifest, Placement};
use nn_proto::CHUNK_BYTES_MAX;
use nn_proto::v1::{self, load_request, load_response};
use nn_tensor::{Alias, Code, Fault, ModelName, Reason};
use tokio::sync::mpsc;
use tonic::Streaming;

use super::super::upload::{BUNDLE, PART, message, push};
use super::view::describe;
use crate::context::Context;
use crate::lifecycle::state::State;
use crate::model::{Model, Status};
use crate::peer::Peer;
use crate::registry::{Landing, Registry, Upload};
use crate::shutdown::{leaving, unless_leaving};

pub(super) type Out = mpsc::Sender<Result<v1::LoadResponse, tonic::Status>>;

pub(super) fn answer(body: load_response::Body) -> v1::LoadResponse {
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

pub(super) async fn load(
    context: &Arc<Context>,
    peer: Peer,
    mut requests: Streaming<v1::LoadRequest>,
    out: &Out,
) -> Result<v1::Model, Fault> {
    let Some(load_request::Body::Header(header)) = next(&mut requests).await? else {
        return Err(Fault::of(Reason::Protocol)
            .message("the first message of an upload must be its header"));
    };
    let name = header.name.parse::<ModelName>()?;
    let manifest = Manifest::parse(&header.manifest, beside)?;
    let part = part(&header, &manifest)?;
    let landing = landing(&header)?;
    // What cannot be stored, or not land, is refused before its bytes come.
    manifest.to_text()?;
    context.registry.may_land(&name, &landing)?;
    context.registry.may_place(&manifest)?;
    if context.is_draining() {
        return Err(leaving());
    }
    let is_promised = header.no_wait && landing.changes_anything();
    let promise = is_promised.then(|| landing.clone());
    let registry = &context.registry;
    let artifact = match part {
        Some(part) => {
            let (dir, limits) = (registry.incoming(), &context.config.limits);
            let format = header.format.clone();
            let upload = Upload::begin(&dir, format, part.bytes, &part.sha256, limits)?;
            let upload = receive(upload, &mut requests).await?;
            progress(out, v1::LoadStage::Received).await;
            let artifact = registry.vet(upload, &manifest).await?;
            progress(out, v1::LoadStage::Vetted).await;
            artifact
        }
        None => Registry::elsewhere(),
    };
    let model = registry
        .add(name, artifact, (manifest, promise), Some(peer))
        .await?;
    progress(out, v1::LoadStage::Stored).await;
    if header.no_wait {
        let answer = describe(context, peer, &model);
        let context = Arc::clone(context);
        let loading = Arc::clone(&model);
        tokio::spawn(async move {
            if let Err(fault) = land(&context, peer, &loading, landing).await {
                tracing::warn!(model = %loading.id(), "not loaded: {fault}");
            }
        });
        return Ok(answer);
    }
    progress(out, v1::LoadStage::Loading).await;
    tokio::select! {
        landed = land(context, peer, &model, landing) => landed?,
        never = warming(&model, out) => match never {},
    }
    Ok(describe(context, peer, &model))
}

/// The one part that is to come; none of a model that remote engines compute.
fn part<'a>(
    header: &'a v1::LoadHeader,
    manifest: &Manifest,
) -> Result<Option<&'a v1::Part>, Fault> {
    let part = match header.parts.as_slice() {
        [] if manifest.placement == Placement::KServe => return Ok(None),
        [part] => part,
        parts => {
            return Err(Fault::of(Reason::PartsWrong)
                .message("a model is sent as one part")
                .expected("1")
                .got(parts.len().to_string())
                .hint("only one that remote engines compute (placement = \"kserve\") is loaded without a file"));
        }
    };
    if part.name != PART && part.name != BUNDLE {
        return Err(Fault::of(Reason::PartsWrong)
            .message("an unknown part of a model")
            .expected(format!("{PART}, or {BUNDLE} for OpenVINO's IR"))
            .got(part.name.chars().take(64).collect::<String>()));
    }
    Ok(Some(part))
}

/// All of its bytes.
async fn receive(
    mut upload: Upload,
    requests: &mut Streaming<v1::LoadRequest>,
) -> Result<Upload, Fault> {
    while let Some(body) = next(requests).await? {
        match body {
            load_request::Body::Chunk(chunk) => {
                upload = push(upload, chunk, CHUNK_BYTES_MAX).await?;
            }
            load_request::Body::Header(_) => {
                return Err(Fault::of(Reason::Protocol).message("a second header in one upload"));
            }
        }
    }
    upload.complete()?;
    Ok(upload)
}

/// Says each time that the model is being warmed up; never returns.
async fn warming(model: &Arc<Model>, out: &Out) -> Infallible {
    let mut status = model.active().status.subscribe();
    loop {
        let is_warming = |status: &Status| status.state == State::Warming;
        // The sender lives in the model.
        let _ = status.wait_for(is_warming).await;
        progress(out, v1::LoadStage::Warming).await;
        let _ = status.changed().await;
    }
}

/// Loads a version that is stored, and has it land. What does not load is removed again; the end of the daemon says
/// nothing against a model: what is stored stays so.
async fn land(
    context: &Context,
    peer: Peer,
    model: &Arc<Model>,
    landing: Landing,
) -> Result<(), Fault> {
    let registry = &context.registry;
    match unless_leaving(context, registry.warm(model)).await {
        Ok(warm) => registry.land(warm, landing, Some(peer)).await,
        Err(fault) if fault.code == Code::Leaving => {
            let id = model.id();
            let hint = format!("{id} is stored: `nnctl promote {id}` makes it current");
            Err(Fault::of(Reason::CutOff)
                .message("nn-daemon ended while it loaded the model")
                .hint(hint))
        }
        Err(fault) => {
            // What cannot be forgotten has been logged.
            let _ = registry.discard(model, Some(peer)).await;
            Err(fault)
        }
    }
}

fn landing(header: &v1::LoadHeader) -> Result<Landing, Fault> {
    let alias = (!header.alias.is_empty()).then(|| header.alias.parse::<Alias>());
    Ok(Landing {
        staged: header.staged,
        alias: alias.transpose()?,
        pin: header.pin,
    })
}

/// A file that a `model.toml` names, which is beside it where it was written, and not here.
fn beside(file: &str) -> Result<String, Fault> {
    Err(Fault::of(Reason::ManifestWrong)
        .message("model.toml names a file that was not sent")
        .expected("labels = [...] in place of labels_file")
        .got(file.to_owned())
        .hint("`nnctl load --manifest` puts them in"))
}
