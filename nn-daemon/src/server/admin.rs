//! The Admin service: what the daemon says of itself.

use std::sync::Arc;

use nn_proto::v1::{self, admin_server};
use nn_worker_wire::BUILD_ID;
use tonic::{Request, Response, Status};

use super::status::status;
use crate::context::Context;
use crate::worker::micros;

/// The daemon's own state for this machine's operators.
#[derive(Debug)]
pub(crate) struct Service {
    context: Arc<Context>,
}

impl Service {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl admin_server::Admin for Service {
    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        // It names other clients' processes and the daemon's directories.
        super::peer(&request)?.may_administer().map_err(status)?;
        let context = &self.context;
        let config = &context.config;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let sessions = context.sessions.all().into_iter().map(|session| {
            let (arena_bytes, graphs) = session.holdings();
            v1::SessionStatus {
                tenant: session.tenant.as_str().to_owned(),
                peer_pid: session.peer.pid,
                peer_uid: session.peer.uid,
                in_flight: count(session.in_flight()),
                arena_bytes,
                graphs: count(graphs),
                age_us: micros(session.opened.elapsed()),
            }
        });
        let limits = config.limits.list().into_iter();
        let limits = limits.map(|(name, value, unit)| v1::LimitStatus {
            name: name.into(),
            value,
            unit: unit.into(),
        });
        Ok(Response::new(v1::StatusResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            build_id: BUILD_ID.into(),
            pid: std::process::id(),
            uptime_us: micros(context.started.elapsed()),
            state: if context.is_draining() {
                "DRAINING"
            } else {
                "READY"
            }
            .into(),
            runtime_dir: config.runtime_dir.display().to_string(),
            state_dir: config.state_dir.display().to_string(),
            sessions: sessions.collect(),
            runtimes: vec![onnxruntime(context)],
            limits: limits.collect(),
            isolation: isolation(),
            workers: count(context.workers().len()),
            arena_bytes: context.sessions.budgets.used(),
        }))
    }
}

fn onnxruntime(context: &Context) -> v1::RuntimeStatus {
    let (available, detail) = match &context.config.onnxruntime {
        Ok(library) => (true, library.display().to_string()),
        Err(places) => (
            false,
            format!("not found in {places:?}; set NN_RUNTIMES or runtimes.onnxruntime"),
        ),
    };
    v1::RuntimeStatus {
        backend: "onnxruntime".into(),
        available,
        detail,
    }
}

/// What stands between a model and everything else, and what does not yet.
fn isolation() -> Vec<v1::ProtectionStatus> {
    let layers = [
        (
            "process per model",
            true,
            "each model runs in a worker of its own",
        ),
        (
            "no_new_privs",
            true,
            "attested from /proc before the model is sent",
        ),
        (
            "empty environment",
            true,
            "a worker sees ORT_DISABLE_TELEMETRY=1 and nothing else",
        ),
        (
            "sealed memory",
            true,
            "models and arenas cannot be resized; readers cannot write",
        ),
        (
            "namespaces",
            false,
            "workers share the daemon's user, mount, pid, net and ipc namespaces",
        ),
        (
            "seccomp",
            false,
            "workers may make any system call of their uid",
        ),
        ("landlock", false, "workers may open any file of their uid"),
    ];
    let status = |(layer, active, detail): (&str, bool, &str)| v1::ProtectionStatus {
        layer: layer.into(),
        active,
        detail: detail.into(),
    };
    layers.map(status).into()
}
