//! What is told of the daemon and of models: only what is true of them here.

use std::sync::Arc;

use nn_proto::kserve::inference::{
    InferBatchStatistics, InferStatistics, ModelConfig, ModelConfigRequest, ModelConfigResponse,
    ModelInput, ModelInstanceGroup, ModelMetadataRequest, ModelMetadataResponse, ModelOutput,
    ModelReadyRequest, ModelStatistics, ModelStatisticsRequest, ModelStatisticsResponse,
    ModelTransactionPolicy, ServerMetadataResponse, StatisticDuration, model_instance_group,
};
use nn_proto::kserve::{config_type, dims, tensor_metadata};
use nn_tensor::{Fault, ModelRef, Selector, Tenant, TensorSpec};
use tonic::Request;

use super::{Service, caller};
use crate::framework::Framework;
use crate::kserve::model_ref;
use crate::model::{Computes, Model, Seen};
use crate::peer::Peer;
use crate::server::health::answers;
use crate::shutdown::unless_leaving;

/// Parts of Triton's service beyond the protocol's own that there are.
const EXTENSIONS: [&str; 3] = ["model_repository", "statistics", "model_configuration"];

pub(super) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: "nn-daemon".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).into(),
    }
}

/// Whether an inference of a model is computed without a load before it; one that is not there is not ready.
pub(super) fn ready(
    service: &Service,
    request: &Request<ModelReadyRequest>,
) -> Result<bool, Fault> {
    let (peer, tenant) = who(service, request)?;
    let ModelReadyRequest { name, version } = request.get_ref();
    let reference = model_ref(name, version)?;
    let found = service
        .context
        .registry
        .find_for(&reference, (peer, &tenant));
    let is_ready = |model: Arc<Model>| answers(&service.context, peer, &model);
    Ok(!service.context.is_draining() && found.is_ok_and(is_ready))
}

pub(super) async fn metadata(
    service: &Service,
    request: Request<ModelMetadataRequest>,
) -> Result<ModelMetadataResponse, Fault> {
    let (peer, tenant) = who(service, &request)?;
    let ModelMetadataRequest { name, version } = request.into_inner();
    let reference = model_ref(&name, &version)?;
    let model = known(service, &reference, (peer, &tenant)).await?;
    let signature = model.signature()?;
    let versions = match reference.selector {
        Selector::Current => versions(service, &model, &tenant),
        Selector::Version(_) | Selector::Alias(_) => vec![model.version.to_string()],
    };
    Ok(ModelMetadataResponse {
        name: model.name.as_str().to_owned(),
        versions,
        platform: platform(model.active().framework()?).to_owned(),
        inputs: signature.inputs.iter().map(tensor_metadata).collect(),
        outputs: signature.outputs.iter().map(tensor_metadata).collect(),
        ..ModelMetadataResponse::default()
    })
}

pub(super) async fn config(
    service: &Service,
    request: Request<ModelConfigRequest>,
) -> Result<ModelConfigResponse, Fault> {
    let (peer, tenant) = who(service, &request)?;
    let ModelConfigRequest { name, version } = request.into_inner();
    let model = known(service, &model_ref(&name, &version)?, (peer, &tenant)).await?;
    let signature = model.signature()?;
    let framework = model.active().framework()?;
    let input = |spec: &TensorSpec| ModelInput {
        name: spec.name.as_str().to_owned(),
        data_type: config_type(spec.dtype).into(),
        dims: dims(spec),
    };
    let output = |spec: &TensorSpec| ModelOutput {
        name: spec.name.as_str().to_owned(),
        data_type: config_type(spec.dtype).into(),
        dims: dims(spec),
    };
    let least = model.active().instances().min;
    let workers = ModelInstanceGroup {
        name: model.name.as_str().to_owned(),
        count: i32::try_from(least).unwrap_or(i32::MAX),
        kind: model_instance_group::Kind::Cpu.into(),
    };
    let config = ModelConfig {
        name: model.name.as_str().to_owned(),
        platform: platform(framework).to_owned(),
        max_batch_size: 0,
        input: signature.inputs.iter().map(input).collect(),
        output: signature.outputs.iter().map(output).collect(),
        instance_group: vec![workers],
        backend: framework.name().to_owned(),
        model_transaction_policy: Some(ModelTransactionPolicy { decoupled: false }),
    };
    Ok(ModelConfigResponse {
        config: Some(config),
    })
}

/// Of one version, of all of a name, or of all that the caller's tenant has.
pub(super) fn statistics(
    service: &Service,
    request: &Request<ModelStatisticsRequest>,
) -> Result<ModelStatisticsResponse, Fault> {
    let (peer, tenant) = who(service, request)?;
    let ModelStatisticsRequest { name, version } = request.get_ref();
    let registry = &service.context.registry;
    let all = registry.list().into_iter().map(|(_, _, model)| model);
    let mut models: Vec<Arc<Model>> = all
        .filter(|model| registry.is_for(&tenant, model))
        .collect();
    if !name.is_empty() {
        let reference = model_ref(name, version)?;
        let one = registry.find_for(&reference, (peer, &tenant))?;
        match reference.selector {
            Selector::Current => models.retain(|model| model.name == one.name),
            Selector::Version(_) | Selector::Alias(_) => models = vec![one],
        }
    }
    let model_stats = models.iter().map(|model| counted(model)).collect();
    Ok(ModelStatisticsResponse { model_stats })
}

fn who<T>(service: &Service, request: &Request<T>) -> Result<(Peer, Tenant), Fault> {
    let caller = caller(request).map_err(|status| Fault::runtime(status.message()))?;
    let tenant = service.tenant(request.metadata(), caller.peer, None)?;
    Ok((caller.peer, tenant))
}

/// A model whose signature is known; loaded, where only that tells it.
async fn known(
    service: &Service,
    reference: &ModelRef,
    who: (Peer, &Tenant),
) -> Result<Arc<Model>, Fault> {
    let registry = &service.context.registry;
    let model = registry.find_for(reference, who)?;
    if model.signature().is_ok() {
        return Ok(model);
    }
    unless_leaving(&service.context, registry.resolve_for(reference, who)).await
}

/// Every version of a model's name that is there for a tenant, the lowest first.
fn versions(service: &Service, of: &Model, tenant: &Tenant) -> Vec<String> {
    let registry = &service.context.registry;
    let all = registry.list().into_iter();
    let theirs = all.filter(|(name, _, model)| *name == of.name && registry.is_for(tenant, model));
    theirs
        .map(|(_, _, model)| model.version.to_string())
        .collect()
}

/// What Triton's clients know a framework by.
const fn platform(framework: Framework) -> &'static str {
    match framework {
        Framework::OnnxRuntime => "onnxruntime_onnx",
        Framework::OpenVino => "openvino",
        Framework::KServe => "kserve",
    }
}

fn counted(model: &Model) -> ModelStatistics {
    let Computes {
        ok,
        failed,
        queue,
        run,
        input,
        last_ms,
    } = model.totals.seen();
    let duration = |Seen { count, ns }| Some(StatisticDuration { count, ns });
    // perf_analyzer ends itself where the parts of a compute are not equally many: one whose inputs have been copied and that
    // runs still, one that has failed, one of a guest, which copies its inputs itself.
    let part = |ns| duration(Seen { ns, ..ok });
    let (input, run) = (part(input.ns), part(run.ns));
    // Outputs are copied as they are sent, and that is the client's time as well.
    let output = part(0);
    let batches = InferBatchStatistics {
        batch_size: 1,
        compute_input: input,
        compute_infer: run,
        compute_output: output,
    };
    ModelStatistics {
        name: model.name.as_str().to_owned(),
        version: model.version.to_string(),
        last_inference: last_ms,
        inference_count: ok.count,
        execution_count: ok.count,
        inference_stats: Some(InferStatistics {
            success: duration(ok),
            fail: duration(failed),
            queue: part(queue.ns),
            compute_input: input,
            compute_infer: run,
            compute_output: output,
            ..InferStatistics::default()
        }),
        batch_stats: if ok.count > 0 {
            vec![batches]
        } else {
            Vec::new()
        },
        ..ModelStatistics::default()
    }
}
