//! The KServe service: convert, call, convert. Who asks is a client like a guest's host, of the tenant that its uid says, or
//! that it says itself and may (docs/kserve.md).

mod carry;
mod infer;
mod models;
mod repository;
mod room;
mod stream;
mod weave;

use std::sync::Arc;

use nn_proto::kserve::inference::{
    self, CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse,
    CudaSharedMemoryStatusRequest, CudaSharedMemoryStatusResponse,
    CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse, LogSettingsRequest,
    LogSettingsResponse, ModelConfigRequest, ModelConfigResponse, ModelInferRequest,
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, ModelStatisticsRequest, ModelStatisticsResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
    RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, ServerLiveRequest,
    ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse, SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse,
    SystemSharedMemoryStatusRequest, SystemSharedMemoryStatusResponse,
    SystemSharedMemoryUnregisterRequest, SystemSharedMemoryUnregisterResponse, TraceSettingRequest,
    TraceSettingResponse,
};
use nn_tensor::{Fault, Reason, Tenant};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::{Caller, status};
use crate::context::Context;
use crate::kserve::{Client, tenant_named};
use crate::peer::Peer;
pub(super) use carry::Carry;

/// Inference for clients of the Open Inference Protocol.
#[derive(Clone, Debug)]
pub(super) struct Service {
    context: Arc<Context>,
}

/// What is refused because it goes by a name that others can guess.
fn named_memory<T>() -> Result<Response<T>, Status> {
    let fault = Fault::of(Reason::CallUnoffered)
        .message("shared memory is not registered by a name")
        .expected("tensors in messages, or arenas by nn.v1")
        .hint("names would let one tenant reach another's memory; docs/kserve.md");
    Err(refused(&fault))
}

fn unoffered<T>(what: &str, instead: &str) -> Result<Response<T>, Status> {
    let fault = Fault::of(Reason::CallUnoffered).message(what.to_owned());
    Err(refused(&fault.hint(instead.to_owned())))
}

/// The status of a fault, as clients of this protocol read it: its code and its text. Details of ours would be taken for
/// details of Google's.
fn refused(fault: &Fault) -> Status {
    Status::new(status::code(fault.code), fault.to_string())
}

/// Who sent a request, and by which connection.
fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>();
    let unknown = || Status::unauthenticated("the peer is unknown");
    caller.cloned().ok_or_else(unknown)
}

// === impl Service ===

impl Service {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// The tenant that a caller acts for: the one that it names, the only one that lists its uid, or the default.
    fn tenant(
        &self,
        metadata: &MetadataMap,
        peer: Peer,
        asked: Option<Tenant>,
    ) -> Result<Tenant, Fault> {
        let named = tenant_named(metadata)?;
        if let (Some(named), Some(asked)) = (&named, &asked)
            && named != asked
        {
            return Err(Fault::of(Reason::TenantName)
                .message("two tenants are named")
                .expected(named.to_string())
                .got(asked.to_string()));
        }
        let tenancy = &self.context.tenancy;
        let only = || tenancy.only(peer).unwrap_or_default();
        let tenant = named.or(asked).unwrap_or_else(only);
        tenancy.allow(peer, &tenant).inspect_err(|fault| {
            tenancy.denials().tell(peer, Some(&tenant), &fault.message);
        })?;
        Ok(tenant)
    }

    /// The client that a caller is for a tenant.
    fn client(&self, caller: &Caller, tenant: &Tenant) -> Result<Arc<Client>, Fault> {
        caller.clients.of(&self.context, caller.peer, tenant)
    }
}

#[tonic::async_trait]
impl inference::grpc_inference_service_server::GrpcInferenceService for Service {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = !self.context.is_draining();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(models::server()))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ready = models::ready(self, &request).map_err(|fault| refused(&fault))?;
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let told = models::metadata(self, request).await;
        told.map(Response::new).map_err(|fault| refused(&fault))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let told = models::config(self, request).await;
        told.map(Response::new).map_err(|fault| refused(&fault))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let told = models::statistics(self, &request);
        told.map(Response::new).map_err(|fault| refused(&fault))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        infer::unary(self, request).await
    }

    type ModelStreamInferStream = stream::Answers;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        stream::serve(self.clone(), request)
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let told = repository::index(self, &request);
        told.map(Response::new).map_err(|fault| refused(&fault))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        let loaded = repository::load(self, request).await?;
        Ok(Response::new(loaded))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        let unloaded = repository::unload(self, request).await?;
        Ok(Response::new(unloaded))
    }

    async fn system_shared_memory_status(
        &self,
        _: Request<SystemSharedMemoryStatusRequest>,
    ) -> Result<Response<SystemSharedMemoryStatusResponse>, Status> {
        named_memory()
    }

    async fn system_shared_memory_register(
        &self,
        _: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Result<Response<SystemSharedMemoryRegisterResponse>, Status> {
        named_memory()
    }

    async fn system_shared_memory_unregister(
        &self,
        _: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Result<Response<SystemSharedMemoryUnregisterResponse>, Status> {
        named_memory()
    }

    async fn cuda_shared_memory_status(
        &self,
        _: Request<CudaSharedMemoryStatusRequest>,
    ) -> Result<Response<CudaSharedMemoryStatusResponse>, Status> {
        named_memory()
    }

    async fn cuda_shared_memory_register(
        &self,
        _: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Result<Response<CudaSharedMemoryRegisterResponse>, Status> {
        named_memory()
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Result<Response<CudaSharedMemoryUnregisterResponse>, Status> {
        named_memory()
    }

    async fn trace_setting(
        &self,
        _: Request<TraceSettingRequest>,
    ) -> Result<Response<TraceSettingResponse>, Status> {
        unoffered(
            "requests are not traced to a file",
            "the daemon's log has them at its level debug (-v)",
        )
    }

    async fn log_settings(
        &self,
        _: Request<LogSettingsRequest>,
    ) -> Result<Response<LogSettingsResponse>, Status> {
        unoffered(
            "the daemon's log is not set by clients",
            "start the daemon with -v for more of it",
        )
    }
}
