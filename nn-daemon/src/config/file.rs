//! The configuration file as written: TOML, every key optional, an unknown key an error.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::lifecycle::policy::Isolation;
use crate::limits::Limits;

/// `nn-daemon.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) runtime_dir: Option<PathBuf>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) model_repository: Vec<PathBuf>,
    pub(crate) runtimes: Runtimes,
    pub(crate) workers: Workers,
    pub(crate) sandbox: Sandbox,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) kserve: Kserve,
    pub(crate) remote: Remote,
    /// What tenants may have. While none of them has `uids`, anybody who can reach the socket may act for any tenant; else
    /// those without are refused.
    pub(crate) tenants: BTreeMap<String, Tenant>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Runtimes {
    /// The library itself: libonnxruntime.so.1.28.0.
    pub(crate) onnxruntime: Option<PathBuf>,
    /// libopenvino_c.so.2641, with the others of OpenVINO beside it.
    pub(crate) openvino: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Workers {
    /// Program to run as worker; must be of the daemon's build.
    pub(crate) program: Option<PathBuf>,
    /// Program that starts them.
    pub(crate) spawner: Option<PathBuf>,
    /// Program that asks remote engines; must be of the daemon's build.
    pub(crate) relay: Option<PathBuf>,
    /// Program that connects to them.
    pub(crate) dialer: Option<PathBuf>,
    /// Framework threads of one run.
    pub(crate) threads: Option<u32>,
    /// The first of 256 uids, used by nobody else, that workers get where the daemon may give them away.
    pub(crate) uid_first: Option<u32>,
    /// Whom one worker of an operator's model serves: "peer", all tenants; "tenant", one.
    pub(crate) isolation: Isolation,
    /// Whether beside each worker of an operator's model a second one waits, with the model loaded.
    pub(crate) warm_spare: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sandbox {
    /// Layers of workers to be taken for missing on this machine, by name.
    pub(crate) without: Vec<String>,
    /// The same of the daemon itself.
    pub(crate) without_broker: Vec<String>,
    /// And of the spawner.
    pub(crate) without_spawner: Vec<String>,
    /// And of the dialer, where there is one.
    pub(crate) without_dialer: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Metrics {
    /// Address and port where metrics are served over HTTP, to whoever reaches them; none without.
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Kserve {
    /// Address and port where the KServe service is offered over TCP; none without.
    pub(crate) listen: Option<SocketAddr>,
    /// Without TLS, also to other machines.
    pub(crate) plaintext: bool,
    /// For whom clients act whose certificate has no name of `tenants`.
    pub(crate) tenant: Option<String>,
    pub(crate) tls: Option<Tls>,
    /// Tenants by a name of clients' certificates.
    pub(crate) tenants: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Whose certificates clients must have.
    pub(crate) clients: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Remote {
    /// `host:port` of the remote engines that models may name; none without.
    pub(crate) endpoints: Vec<String>,
    /// The directory of certificates, keys and tokens that models name by their files.
    pub(crate) secrets: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tenant {
    /// Who may act for it.
    pub(crate) uids: Option<Vec<u32>>,
    /// Names of the models that its guests may use.
    pub(crate) models: Option<Vec<String>>,
    /// Its part of a model's turns, against that of other tenants.
    pub(crate) weight: Option<u64>,
    pub(crate) sessions_max: Option<u64>,
    pub(crate) computes_max: Option<u64>,
    pub(crate) computes_per_second_max: Option<u64>,
    pub(crate) compute_ms_max: Option<u64>,
    pub(crate) arena_bytes_max: Option<u64>,
    pub(crate) tensors_max: Option<u64>,
    pub(crate) guest_models_max: Option<u64>,
    pub(crate) guest_model_bytes_max: Option<u64>,
}
