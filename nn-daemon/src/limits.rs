//! Every bound of the daemon, in one place: configurable where an operator may have reasons, and all
//! shown by `nnctl status`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The bounds an operator can set, in `[limits]` of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Sessions open at a time.
    pub sessions_max: u32,
    /// Sessions open at a time by one uid.
    pub sessions_per_uid_max: u32,
    /// Sessions open at a time for one tenant, where `[tenants.NAME]` does not say it.
    pub sessions_per_tenant_max: u32,
    /// gRPC connections open at a time by one uid.
    pub connections_per_uid_max: u32,
    /// Computes in flight in one session.
    pub in_flight_per_session_max: u32,
    /// Computes in flight of one tenant, over all its sessions, where `[tenants.NAME]` does not say it.
    pub computes_per_tenant_max: u32,
    /// Computes begun in a second by one tenant, likewise; 0 for no bound.
    pub computes_per_second_per_tenant_max: u32,
    /// Tensors of one tenant that computes read, and that they gave and nobody has given back, likewise.
    pub tensors_per_tenant_max: u32,
    /// Graphs that one session may have resolved.
    pub graphs_per_session_max: u32,
    /// Arena memory of one tenant, inputs and outputs together, in bytes.
    pub arena_bytes_per_tenant_max: u64,
    /// Size of an arena's segment, unless a tensor needs more, in bytes.
    pub segment_bytes: u64,
    /// The largest single tensor, in bytes.
    pub tensor_bytes_max: u64,
    /// The largest message of the KServe service, either way, in bytes.
    pub kserve_message_bytes_max: u64,
    /// Bytes of such messages that the clients of one uid may have on their way into arenas.
    pub kserve_bytes_per_uid_max: u64,
    /// Jobs that wait for one model, half of them at most of one tenant.
    pub queue_per_model_max: u32,
    /// Jobs handed to a worker and not yet answered, of which more than one only where they take no more than 1 ms together.
    pub worker_window: u32,
    /// Workers at a time.
    pub workers_max: u32,
    /// Memory that a worker may take besides four times its model: the framework and its tensors, in bytes.
    pub worker_memory_bytes: u64,
    /// What the workers of models may take together, by the budget of each, in bytes; 0 for no bound.
    pub workers_memory_bytes_max: u64,
    /// What the workers of models may have together, as it is measured, in bytes; 0 for no bound. Where it is more, versions
    /// rest.
    pub models_memory_bytes_max: u64,
    /// How long a tenant's own worker of an operator's model lives on with nobody using it, in milliseconds.
    pub tenant_worker_idle_ms: u64,
    /// For how long all instances of a model must have had calls waiting before one more is started, in milliseconds.
    pub instance_busy_ms: u64,
    /// How long an instance beyond the least of its model lives on with nothing to do, in milliseconds.
    pub instance_idle_ms: u64,
    /// So many crashes of its workers put a model into quarantine.
    pub quarantine_crashes: u32,
    /// Within so long, in milliseconds.
    pub quarantine_window_ms: u64,
    /// Models known at a time, every version counted.
    pub models_max: u32,
    /// The largest model, in bytes.
    pub model_bytes_max: u64,
    /// Nodes of one model, all its graphs and functions together.
    pub model_nodes_max: u64,
    /// Models that one tenant's guests may have loaded at a time.
    pub guest_models_per_tenant_max: u32,
    /// Bytes of those models together.
    pub guest_model_bytes_per_tenant_max: u64,
    /// The largest model that a guest may load, in bytes.
    pub guest_model_bytes_max: u64,
    /// Longest time one compute may take, in milliseconds.
    pub compute_ms_max: u64,
    /// How long a compute may overstay its deadline before its worker is killed, in milliseconds.
    pub compute_grace_ms: u64,
    /// Models loading at a time.
    pub loads_at_once_max: u32,
    /// Longest time a worker may take to load its framework and model, in milliseconds.
    pub load_ms_max: u64,
    /// How long a compute waits for a worker that is being restarted, in milliseconds.
    pub restart_wait_ms_max: u64,
    /// Longest pause between restarts of a crashing worker, in milliseconds.
    pub restart_backoff_ms_max: u64,
    /// What was made of models so that they load faster, in the state directory, all together, in bytes; 0 for none.
    pub prepared_bytes_max: u64,
    /// How long a model has served before that is made of it, in milliseconds.
    pub prepare_after_ms: u64,
    /// How long a segment may be idle before it is taken back, in milliseconds.
    pub idle_ms: u64,
    /// How long the end of the daemon waits for computes in flight, in milliseconds.
    pub drain_ms_max: u64,
}

/// How long a client may take to claim its session on the descriptor socket.
pub(crate) const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a compute waits for its client to have mapped the segment it names.
pub(crate) const SEAL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the spawner may take to start a worker.
pub(crate) const SPAWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a worker without a job is looked at, and how often an answer may be missing before it is killed: looks
/// that this process came to in time, for one that was itself stopped knows nothing of others.
pub(crate) const PROBE_EVERY: Duration = Duration::from_secs(2);
pub(crate) const PROBE_MISSED_MAX: u32 = 3;

/// Packets waiting to go out on one descriptor socket.
pub(crate) const FD_QUEUE_MAX: usize = 256;

/// Slots in one release, from a client or to a worker.
pub(crate) const RELEASE_SLOTS_MAX: usize = 1024;

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            sessions_max: 256,
            sessions_per_uid_max: 64,
            sessions_per_tenant_max: 256,
            connections_per_uid_max: 64,
            in_flight_per_session_max: 256,
            computes_per_tenant_max: 4096,
            computes_per_second_per_tenant_max: 0,
            tensors_per_tenant_max: 65_536,
            graphs_per_session_max: 1024,
            arena_bytes_per_tenant_max: 1024 * MIB,
            segment_bytes: 4 * MIB,
            tensor_bytes_max: 256 * MIB,
            kserve_message_bytes_max: 128 * MIB,
            kserve_bytes_per_uid_max: 256 * MIB,
            queue_per_model_max: 512,
            worker_window: 4,
            workers_max: 128,
            worker_memory_bytes: 1024 * MIB,
            workers_memory_bytes_max: 0,
            models_memory_bytes_max: 0,
            tenant_worker_idle_ms: 60_000,
            instance_busy_ms: 500,
            instance_idle_ms: 60_000,
            quarantine_crashes: 3,
            quarantine_window_ms: 60_000,
            models_max: 1024,
            model_bytes_max: 2048 * MIB,
            model_nodes_max: nn_vet::Rules::default().nodes_max,
            guest_models_per_tenant_max: 8,
            guest_model_bytes_per_tenant_max: 256 * MIB,
            guest_model_bytes_max: 128 * MIB,
            compute_ms_max: 60_000,
            compute_grace_ms: 250,
            loads_at_once_max: 2,
            load_ms_max: 120_000,
            restart_wait_ms_max: 5_000,
            restart_backoff_ms_max: 30_000,
            prepared_bytes_max: 4096 * MIB,
            prepare_after_ms: 10_000,
            idle_ms: 10_000,
            drain_ms_max: 10_000,
        }
    }
}

impl Limits {
    /// Name, value and unit of each, for people.
    #[must_use]
    pub fn list(&self) -> Vec<(&'static str, u64, &'static str)> {
        let mut all = vec![
            ("sessions_max", self.sessions_max.into(), "count"),
            (
                "sessions_per_uid_max",
                self.sessions_per_uid_max.into(),
                "count",
            ),
            (
                "connections_per_uid_max",
                self.connections_per_uid_max.into(),
                "count",
            ),
            (
                "in_flight_per_session_max",
                self.in_flight_per_session_max.into(),
                "count",
            ),
            (
                "graphs_per_session_max",
                self.graphs_per_session_max.into(),
                "count",
            ),
            (
                "arena_bytes_per_tenant_max",
                self.arena_bytes_per_tenant_max,
                "bytes",
            ),
            ("segment_bytes", self.segment_bytes, "bytes"),
            ("tensor_bytes_max", self.tensor_bytes_max, "bytes"),
            (
                "kserve_message_bytes_max",
                self.kserve_message_bytes_max,
                "bytes",
            ),
            (
                "kserve_bytes_per_uid_max",
                self.kserve_bytes_per_uid_max,
                "bytes",
            ),
            (
                "queue_per_model_max",
                self.queue_per_model_max.into(),
                "count",
            ),
        ];
        all.extend(self.tenants());
        all.extend(self.workers());
        all.extend(self.models());
        all
    }

    fn tenants(&self) -> [(&'static str, u64, &'static str); 4] {
        [
            (
                "sessions_per_tenant_max",
                self.sessions_per_tenant_max.into(),
                "count",
            ),
            (
                "computes_per_tenant_max",
                self.computes_per_tenant_max.into(),
                "count",
            ),
            (
                "computes_per_second_per_tenant_max",
                self.computes_per_second_per_tenant_max.into(),
                "count",
            ),
            (
                "tensors_per_tenant_max",
                self.tensors_per_tenant_max.into(),
                "count",
            ),
        ]
    }

    fn workers(&self) -> [(&'static str, u64, &'static str); 11] {
        [
            ("worker_window", self.worker_window.into(), "count"),
            ("workers_max", self.workers_max.into(), "count"),
            ("worker_memory_bytes", self.worker_memory_bytes, "bytes"),
            (
                "workers_memory_bytes_max",
                self.workers_memory_bytes_max,
                "bytes",
            ),
            (
                "models_memory_bytes_max",
                self.models_memory_bytes_max,
                "bytes",
            ),
            ("tenant_worker_idle_ms", self.tenant_worker_idle_ms, "ms"),
            ("instance_busy_ms", self.instance_busy_ms, "ms"),
            ("instance_idle_ms", self.instance_idle_ms, "ms"),
            (
                "quarantine_crashes",
                self.quarantine_crashes.into(),
                "count",
            ),
            ("quarantine_window_ms", self.quarantine_window_ms, "ms"),
            ("restart_wait_ms_max", self.restart_wait_ms_max, "ms"),
        ]
    }

    fn models(&self) -> [(&'static str, u64, &'static str); 15] {
        [
            ("models_max", self.models_max.into(), "count"),
            ("model_bytes_max", self.model_bytes_max, "bytes"),
            ("model_nodes_max", self.model_nodes_max, "count"),
            (
                "guest_models_per_tenant_max",
                self.guest_models_per_tenant_max.into(),
                "count",
            ),
            (
                "guest_model_bytes_per_tenant_max",
                self.guest_model_bytes_per_tenant_max,
                "bytes",
            ),
            ("guest_model_bytes_max", self.guest_model_bytes_max, "bytes"),
            ("compute_ms_max", self.compute_ms_max, "ms"),
            ("compute_grace_ms", self.compute_grace_ms, "ms"),
            ("loads_at_once_max", self.loads_at_once_max.into(), "count"),
            ("load_ms_max", self.load_ms_max, "ms"),
            ("restart_backoff_ms_max", self.restart_backoff_ms_max, "ms"),
            ("prepared_bytes_max", self.prepared_bytes_max, "bytes"),
            ("prepare_after_ms", self.prepare_after_ms, "ms"),
            ("idle_ms", self.idle_ms, "ms"),
            ("drain_ms_max", self.drain_ms_max, "ms"),
        ]
    }

    /// The memory budget of a worker for a model of that size, in bytes: its heap, its stacks, its libraries' data;
    /// not the arenas, which are its tenants'. A framework holds a model's weights up to four times while it
    /// loads (parsed, optimised, packed, and the arena that grows by doubling).
    pub(crate) fn worker_budget(&self, model_bytes: u64) -> u64 {
        self.worker_memory_bytes
            .saturating_add(self.load_peak(model_bytes))
    }

    /// The most that any worker may have.
    pub(crate) fn worker_budget_max(&self) -> u64 {
        self.worker_budget(self.model_bytes_max.max(self.guest_model_bytes_max))
    }

    /// The part of it that depends on the model.
    #[expect(
        clippy::unused_self,
        reason = "all arithmetic of bounds is asked of them"
    )]
    pub(crate) fn load_peak(&self, model_bytes: u64) -> u64 {
        model_bytes.saturating_mul(4)
    }

    pub(crate) fn tenant_worker_idle(&self) -> Duration {
        Duration::from_millis(self.tenant_worker_idle_ms)
    }

    /// What a model's bytes are held against.
    pub(crate) fn vetting(&self) -> nn_vet::Rules {
        nn_vet::Rules {
            bytes_max: self.model_bytes_max,
            nodes_max: self.model_nodes_max,
        }
    }

    pub(crate) fn compute_max(&self) -> Duration {
        Duration::from_millis(self.compute_ms_max)
    }

    pub(crate) fn compute_grace(&self) -> Duration {
        Duration::from_millis(self.compute_grace_ms)
    }

    pub(crate) fn load_max(&self) -> Duration {
        Duration::from_millis(self.load_ms_max)
    }

    /// How long somebody waits for a load: a little longer than it may take, so that what ends it is what they are told.
    pub(crate) fn load_wait_max(&self) -> Duration {
        self.load_max().saturating_add(SPAWN_TIMEOUT)
    }

    pub(crate) fn restart_wait_max(&self) -> Duration {
        Duration::from_millis(self.restart_wait_ms_max)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    pub(crate) fn drain_max(&self) -> Duration {
        Duration::from_millis(self.drain_ms_max)
    }
}
