//! The Models service: convert, call, convert.

mod load;
mod view;

use std::sync::Arc;

use nn_catalogue::Placement;
use nn_proto::v1::{self, load_response, models_server};
use nn_tensor::{Alias, Fault, ModelName, ModelRef, Selector};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::status::status;
use super::{operator, peer};
use crate::context::Context;
use crate::model::{Claim, Model};
use crate::peer::Peer;
use crate::shutdown::unless_leaving;
use load::{answer, load};
pub(super) use view::told_tenant;
use view::{card, describe, facts};

/// Model lifecycle for this daemon's operators.
#[derive(Debug)]
pub(crate) struct Service {
    context: Arc<Context>,
}

impl Service {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

/// Whether a model is there for a client: not for who may act for no tenant that may use it.
pub(super) fn may_see(context: &Context, peer: Peer, model: &Model) -> bool {
    let only = model.access.tenants();
    let tenancy = &context.tenancy;
    peer.may_administer().is_ok() || tenancy.may_be_used_by(peer, &model.name, only.as_ref())
}

/// A version that answers, and is kept loaded until a name means it. The end of the daemon ends the wait for it, and nothing
/// after that.
async fn warm(context: &Context, model: &Arc<Model>) -> Result<Claim, Fault> {
    unless_leaving(context, context.registry.warm(model)).await
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
        let peer = operator(&self.context, &request)?;
        let (out, answers) = mpsc::channel(8);
        let context = Arc::clone(&self.context);
        tokio::spawn(async move {
            let last = match load(&context, peer, request.into_inner(), &out).await {
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
        let peer = operator(&self.context, &request)?;
        let reference = reference(&request.into_inner().reference).map_err(status)?;
        let unloaded = self
            .context
            .registry
            .unload(&reference, Some(peer))
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
        let all = all.iter().map(|(_, _, model)| model);
        let named = all
            .filter(|model| may_see(&self.context, peer, model))
            .map(|model| describe(&self.context, peer, model));
        // A digest tells which model somebody runs: that is their own business and the operator's.
        let uid = (peer.may_administer().is_err()).then_some(peer.uid);
        let guests = self.context.guests.list(uid);
        let guests = guests
            .iter()
            .map(|model| describe(&self.context, peer, model));
        let models = named.chain(guests).collect();
        Ok(Response::new(v1::ListResponse { models }))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let peer = peer(&request)?;
        let reference = reference(&request.into_inner().reference).map_err(status)?;
        let model = self.context.registry.find(&reference).map_err(status)?;
        if !may_see(&self.context, peer, &model) {
            return Err(status(crate::registry::unknown(&reference)));
        }
        let about = self.context.registry.look(&model).await;
        Ok(Response::new(v1::DescribeResponse {
            model: Some(describe(&self.context, peer, &model)),
            signature: model.signature().ok().map(|signature| (&*signature).into()),
            facts: about.map(|vetted| facts(&vetted.about)),
            card: Some(card(&model, peer.may_administer().is_ok())),
            model_signature: model.own_signature().map(|own| (&*own).into()),
        }))
    }

    async fn promote(
        &self,
        request: Request<v1::PromoteRequest>,
    ) -> Result<Response<v1::PromoteResponse>, Status> {
        let peer = operator(&self.context, &request)?;
        let reference = reference(&request.into_inner().reference).map_err(status)?;
        let registry = &self.context.registry;
        let promoted = async {
            if reference.selector == Selector::Current {
                return Err(Fault::invalid_argument("which version is to be current?")
                    .expected("NAME@VERSION or NAME:ALIAS")
                    .got(reference.to_string()));
            }
            let warm = warm(&self.context, &registry.find(&reference)?).await?;
            registry.promote(warm, Some(peer)).await
        };
        let model = promoted.await.map_err(status)?;
        let model = Some(describe(&self.context, peer, &model));
        Ok(Response::new(v1::PromoteResponse { model }))
    }

    async fn rollback(
        &self,
        request: Request<v1::RollbackRequest>,
    ) -> Result<Response<v1::RollbackResponse>, Status> {
        let peer = operator(&self.context, &request)?;
        let registry = &self.context.registry;
        let rolled_back = async {
            let name = request.into_inner().name.parse::<ModelName>()?;
            let warm = warm(&self.context, &registry.previous(&name)?).await?;
            registry.rollback(warm, Some(peer)).await
        };
        let model = rolled_back.await.map_err(status)?;
        let model = Some(describe(&self.context, peer, &model));
        Ok(Response::new(v1::RollbackResponse { model }))
    }

    async fn set_pin(
        &self,
        request: Request<v1::SetPinRequest>,
    ) -> Result<Response<v1::SetPinResponse>, Status> {
        let peer = operator(&self.context, &request)?;
        let registry = &self.context.registry;
        let set = async {
            let v1::SetPinRequest { name, pinned } = request.into_inner();
            let name = name.parse::<ModelName>()?;
            let _loaded = if pinned {
                Some(warm(&self.context, &registry.current(&name)?).await?)
            } else {
                None
            };
            registry.set_pin(&name, pinned, Some(peer)).await
        };
        let model = set.await.map_err(status)?;
        let model = Some(describe(&self.context, peer, &model));
        Ok(Response::new(v1::SetPinResponse { model }))
    }

    async fn place(
        &self,
        request: Request<v1::PlaceRequest>,
    ) -> Result<Response<v1::PlaceResponse>, Status> {
        let peer = operator(&self.context, &request)?;
        let placed = async {
            let v1::PlaceRequest {
                reference: of,
                placement,
            } = request.into_inner();
            let (reference, placement) = (reference(&of)?, Placement::parse(&placement)?);
            let registry = &self.context.registry;
            let placed = registry.place(&reference, placement, Some(peer));
            unless_leaving(&self.context, placed).await
        };
        let model = placed.await.map_err(status)?;
        let model = Some(describe(&self.context, peer, &model));
        Ok(Response::new(v1::PlaceResponse { model }))
    }

    async fn set_alias(
        &self,
        request: Request<v1::SetAliasRequest>,
    ) -> Result<Response<v1::SetAliasResponse>, Status> {
        let peer = operator(&self.context, &request)?;
        let v1::SetAliasRequest {
            reference: of,
            alias,
            remove,
        } = request.into_inner();
        let registry = &self.context.registry;
        let set = async {
            let reference = reference(&of)?;
            let alias = alias.parse::<Alias>()?;
            if !remove {
                return registry.set_alias(&reference, alias, Some(peer)).await;
            }
            if reference.selector != Selector::Current {
                return Err(Fault::invalid_argument("an alias is taken from its name")
                    .expected("NAME")
                    .got(reference.to_string()));
            }
            registry
                .remove_alias(&reference.name, &alias, Some(peer))
                .await
        };
        let model: Arc<Model> = set.await.map_err(status)?;
        let model = Some(describe(&self.context, peer, &model));
        Ok(Response::new(v1::SetAliasResponse { model }))
    }
}
