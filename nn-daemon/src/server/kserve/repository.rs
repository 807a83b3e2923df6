//! The model repository, as Triton's clients see it: which versions there are, and for operators that one be loaded, or
//! rest. Nothing is added and nothing is taken away here: that is what nnctl is for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nn_proto::kserve::inference::repository_index_response::ModelIndex;
use nn_proto::kserve::inference::{
    ModelRepositoryParameter, RepositoryIndexRequest, RepositoryIndexResponse,
    RepositoryModelLoadRequest, RepositoryModelLoadResponse, RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse,
};
use nn_tensor::{Fault, Reason};
use tokio::time::timeout;
use tonic::{Request, Status};

use super::{Service, caller, refused};
use crate::kserve::model_ref;
use crate::lifecycle::state::State;
use crate::model::Model;
use crate::server::models::may_see;
use crate::server::operator_of;
use crate::shutdown::unless_leaving;

/// How long a version may take to rest: its worker leaves, or is killed.
const REST_MAX: Duration = Duration::from_secs(10);

/// Parameters that give a load a configuration or files of the caller's.
const CONFIG: &str = "config";
const FILE: &str = "file:";

/// There is one repository here, and it has no name.
fn unnamed(repository: &str) -> Result<(), Fault> {
    if repository.is_empty() {
        return Ok(());
    }
    Err(Fault::of(Reason::CallUnoffered)
        .message("repositories have no names here")
        .expected("an empty repository_name")
        .hint("leave it out"))
}

/// A load brings up what is there: it takes neither configuration nor files.
fn plain(parameters: &HashMap<String, ModelRepositoryParameter>) -> Result<(), Fault> {
    let mut names = parameters.keys();
    let Some(name) = names.find(|name| *name == CONFIG || name.starts_with(FILE)) else {
        return Ok(());
    };
    let got: String = name.chars().take(64).collect();
    Err(Fault::of(Reason::CallUnoffered)
        .message("a model's files and configuration are not sent here")
        .expected("a load without parameters")
        .got(got.escape_debug().to_string())
        .hint("`nnctl load NAME FILE` adds a model"))
}

fn state(model: &Arc<Model>) -> &'static str {
    match model.active().status.borrow().state {
        State::Ready => "READY",
        State::Loading | State::Warming | State::Restarting => "LOADING",
        State::Draining => "UNLOADING",
        State::Absent | State::Failed | State::Gone => "UNAVAILABLE",
    }
}

fn reason(model: &Arc<Model>) -> String {
    let status = model.active().status.borrow();
    match (status.state, &status.fault) {
        (State::Ready, _) => String::new(),
        (_, Some(fault)) => fault.to_string(),
        (State::Absent, None) => "it rests; its next use loads it".to_owned(),
        (state, None) => state.name().to_owned(),
    }
}

/// Every version that the caller may see.
pub(super) fn index(
    service: &Service,
    request: &Request<RepositoryIndexRequest>,
) -> Result<RepositoryIndexResponse, Fault> {
    let caller = caller(request).map_err(|status| Fault::runtime(status.message()))?;
    let RepositoryIndexRequest {
        repository_name,
        ready,
    } = request.get_ref();
    unnamed(repository_name)?;
    let all = service.context.registry.list().into_iter();
    let seen = all.map(|(_, _, model)| model);
    let seen = seen.filter(|model| may_see(&service.context, caller.peer, model));
    let models = seen.map(|model| ModelIndex {
        name: model.name.as_str().to_owned(),
        version: model.version.to_string(),
        state: state(&model).to_owned(),
        reason: reason(&model),
    });
    let models = models.filter(|model| !ready || model.state == "READY");
    Ok(RepositoryIndexResponse {
        models: models.collect(),
    })
}

/// Has what a name means be loaded, and waits until it answers.
pub(super) async fn load(
    service: &Service,
    request: Request<RepositoryModelLoadRequest>,
) -> Result<RepositoryModelLoadResponse, Status> {
    let context = &service.context;
    operator_of(context, caller(&request)?.peer).map_err(|fault| refused(&fault))?;
    let request = request.into_inner();
    let loaded = async {
        unnamed(&request.repository_name)?;
        plain(&request.parameters)?;
        let model = context
            .registry
            .find(&model_ref(&request.model_name, "")?)?;
        let warm = context.registry.warm(&model);
        unless_leaving(context, warm).await.map(drop)
    };
    let loaded = loaded.await;
    loaded.map_err(|fault: Fault| refused(&fault))?;
    Ok(RepositoryModelLoadResponse {})
}

/// Has what a name means rest, and waits until it does. It stays known, and its next use loads it.
pub(super) async fn unload(
    service: &Service,
    request: Request<RepositoryModelUnloadRequest>,
) -> Result<RepositoryModelUnloadResponse, Status> {
    let context = &service.context;
    operator_of(context, caller(&request)?.peer).map_err(|fault| refused(&fault))?;
    let request = request.into_inner();
    let rests = async {
        unnamed(&request.repository_name)?;
        let model = context
            .registry
            .find(&model_ref(&request.model_name, "")?)?;
        rest(service, &model).await
    };
    let rests = rests.await;
    rests.map_err(|fault: Fault| refused(&fault))?;
    Ok(RepositoryModelUnloadResponse {})
}

async fn rest(service: &Service, version: &Arc<Model>) -> Result<(), Fault> {
    let model = version.active();
    let is_down = |state: State| matches!(state, State::Absent | State::Failed | State::Gone);
    let mut statuses = model.status.subscribe();
    if is_down(statuses.borrow().state) {
        return Ok(());
    }
    let kept = || Fault::of(Reason::ModelKept).message(format!("{} cannot rest now", model.id()));
    if !model.may_rest(service.context.policy.isolation) {
        let why = if model.pinned.load(Ordering::Relaxed) {
            "one that is pinned".to_owned()
        } else if model.is_split(service.context.policy.isolation) {
            "one of which each tenant has a worker".to_owned()
        } else {
            let state = statuses.borrow().state.name();
            format!("one that computes, or is wanted: {state}")
        };
        return Err(kept().expected("a version that does nothing").got(why));
    }
    model.rest.notify_one();
    let rested = timeout(REST_MAX, statuses.wait_for(|status| is_down(status.state))).await;
    match rested {
        Ok(_) => Ok(()),
        Err(_) => Err(kept().got("one that has been used since")),
    }
}
