//! A model as this tool shows it: what `load`, `list` and `describe` have in common.

use nn_proto::v1;
use nn_tensor::Fault;
use serde::Serialize;

use crate::failure::FaultView;
use crate::output::{bytes, micros};

/// One version of a model.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ModelView {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) state: &'static str,
    pub(crate) current: bool,
    /// NAME:ALIAS means it, for each.
    pub(crate) aliases: Vec<String>,
    /// `nnctl rollback` would make it current.
    pub(crate) next_back: bool,
    /// It stays loaded whatever happens to memory.
    pub(crate) pinned: bool,
    pub(crate) format: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) backend: String,
    pub(crate) runtime: String,
    pub(crate) source: String,
    /// Whose guest loaded it; empty for an operator's.
    pub(crate) tenant: String,
    pub(crate) instances: Vec<InstanceView>,
    pub(crate) load_us: u64,
    pub(crate) computes_ok: u64,
    pub(crate) computes_failed: u64,
    /// `null` before a compute gave outputs.
    pub(crate) latency: Option<Latency>,
    /// Whom one worker serves: `peer`, all tenants; `tenant`, one.
    pub(crate) isolation: String,
    /// Refused, for its workers crashed too often.
    pub(crate) quarantined: bool,
    /// Who computes it: `local`, `kserve`.
    pub(crate) placement: String,
    /// Remote engines that may.
    pub(crate) endpoints: Vec<EndpointView>,
    /// Computes that a worker here has taken over from them.
    pub(crate) fallbacks: u64,
    pub(crate) error: Option<FaultView>,
    /// The same, for the text form.
    #[serde(skip)]
    pub(crate) fault: Option<Fault>,
}

/// How long the daemon took for computes that gave outputs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) computes: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

/// A remote engine that may compute a model.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EndpointView {
    pub(crate) address: String,
    /// Of its breaker: `closed`, `open`, `half-open`, `unfit`; empty while nobody connects to it.
    pub(crate) state: String,
    pub(crate) in_flight: u32,
    /// In a row.
    pub(crate) failures: u32,
    /// Why the last one was; empty without any.
    pub(crate) reason: String,
}

/// One worker of a model.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct InstanceView {
    pub(crate) id: u32,
    /// `null` while there is no process.
    pub(crate) pid: Option<u32>,
    pub(crate) restarts: u32,
    pub(crate) in_flight: u32,
    /// Whose calls alone it computes; empty for everybody's.
    pub(crate) tenant: String,
    /// It waits beside the others.
    pub(crate) spare: bool,
    pub(crate) memory_bytes: u64,
}

// === impl ModelView ===

impl ModelView {
    /// `foo@1`.
    pub(crate) fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Where the bytes came from; for a guest's, also whose: `guest of default`.
    pub(crate) fn source_text(&self) -> String {
        match self.tenant.as_str() {
            "" => self.source.clone(),
            tenant => format!("{} of {tenant}", self.source),
        }
    }

    /// Instances that have a process, of all, and those that wait: `1/1`, `2/2 +1 spare`.
    pub(crate) fn instances_text(&self) -> String {
        let serve = || self.instances.iter().filter(|i| !i.spare);
        let alive = serve().filter(|i| i.pid.is_some()).count();
        let spares = self.instances.len().saturating_sub(serve().count());
        let text = format!("{alive}/{}", serve().count());
        match spares {
            0 => text,
            spares => format!("{text} +{spares} spare"),
        }
    }

    /// What its workers have of the machine's memory; empty without any.
    pub(crate) fn memory_text(&self) -> String {
        let each = self.instances.iter().map(|instance| instance.memory_bytes);
        match each.sum() {
            0 => String::new(),
            memory => bytes(memory),
        }
    }

    /// The word for its state.
    pub(crate) fn state_text(&self) -> &'static str {
        if self.quarantined {
            "quarantined"
        } else {
            self.state
        }
    }
}

impl From<v1::Model> for ModelView {
    fn from(model: v1::Model) -> Self {
        let fault = model.error.clone().map(Fault::from);
        Self {
            state: state(model.state()),
            name: model.name,
            version: model.version,
            current: model.current,
            aliases: model.aliases,
            next_back: model.next_back,
            pinned: model.pinned,
            format: model.format,
            bytes: model.bytes,
            sha256: model.sha256,
            backend: model.backend,
            runtime: model.runtime,
            source: model.source,
            tenant: model.tenant,
            instances: model.instances.into_iter().map(Into::into).collect(),
            load_us: model.load_us,
            computes_ok: model.computes_ok,
            computes_failed: model.computes_failed,
            latency: model.latency.map(Into::into),
            isolation: model.isolation,
            quarantined: model.quarantined,
            placement: model.placement,
            endpoints: model.endpoints.into_iter().map(Into::into).collect(),
            fallbacks: model.fallbacks,
            error: fault.clone().map(Into::into),
            fault,
        }
    }
}

// === impl Latency ===

impl Latency {
    /// `p50 850 us, p99 2.4 ms, max 2.5 ms`.
    pub(crate) fn text(&self) -> String {
        let [p50, p99, max] = [self.p50_us, self.p99_us, self.max_us].map(micros);
        format!("p50 {p50}, p99 {p99}, max {max}")
    }
}

impl From<v1::Latency> for Latency {
    fn from(latency: v1::Latency) -> Self {
        Self {
            computes: latency.computes,
            p50_us: latency.p50_us,
            p99_us: latency.p99_us,
            max_us: latency.max_us,
        }
    }
}

// === impl EndpointView ===

impl From<v1::Endpoint> for EndpointView {
    fn from(endpoint: v1::Endpoint) -> Self {
        Self {
            address: endpoint.address,
            state: endpoint.state,
            in_flight: endpoint.in_flight,
            failures: endpoint.failures,
            reason: endpoint.reason,
        }
    }
}

// === impl InstanceView ===

impl InstanceView {
    /// Whom it serves.
    pub(crate) fn whom_text(&self) -> String {
        match (self.spare, self.tenant.as_str()) {
            (true, _) => "spare".to_owned(),
            (false, "") => "all".to_owned(),
            (false, tenant) => tenant.to_owned(),
        }
    }
}

impl From<v1::Instance> for InstanceView {
    fn from(instance: v1::Instance) -> Self {
        Self {
            id: instance.id,
            pid: (instance.pid != 0).then_some(instance.pid),
            restarts: instance.restarts,
            in_flight: instance.in_flight,
            tenant: instance.tenant,
            spare: instance.spare,
            memory_bytes: instance.memory_bytes,
        }
    }
}

/// The word for a state.
fn state(state: v1::ModelState) -> &'static str {
    match state {
        v1::ModelState::Unspecified => "unknown",
        v1::ModelState::Absent => "absent",
        v1::ModelState::Loading => "loading",
        v1::ModelState::Warming => "warming",
        v1::ModelState::Ready => "ready",
        v1::ModelState::Restarting => "restarting",
        v1::ModelState::Draining => "draining",
        v1::ModelState::Failed => "failed",
    }
}

/// A model to show in tests.
#[cfg(test)]
pub(crate) fn sample() -> v1::Model {
    v1::Model {
        name: "foo".to_owned(),
        version: 2,
        current: true,
        state: v1::ModelState::Ready.into(),
        format: "onnx".to_owned(),
        bytes: 18_554_880,
        sha256: "ab".repeat(32),
        backend: "onnxruntime".to_owned(),
        runtime: "ONNX Runtime 1.28.0".to_owned(),
        source: "uploaded".to_owned(),
        instances: vec![v1::Instance {
            id: 1,
            pid: 42,
            restarts: 0,
            in_flight: 3,
            memory_bytes: 64 << 20,
            ..v1::Instance::default()
        }],
        error: None,
        load_us: 123_456,
        computes_ok: 7,
        computes_failed: 1,
        tenant: String::new(),
        isolation: "peer".to_owned(),
        quarantined: false,
        aliases: Vec::new(),
        next_back: false,
        pinned: false,
        latency: Some(v1::Latency {
            computes: 7,
            p50_us: 850,
            p99_us: 2_400,
            max_us: 2_500,
        }),
        placement: "local".to_owned(),
        endpoints: Vec::new(),
        fallbacks: 0,
    }
}
