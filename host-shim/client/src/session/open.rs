//! Opening a session: OpenSession by gRPC, the token on the descriptor socket, then the two tasks that
//! serve it until it ends.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nn_proto::v1;
use nn_proto::v1::inference_client::InferenceClient;
use nn_tensor::{Code, Fault, Tenant};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;

use super::fdsock::{FdSocket, Received};
use super::grants::Arenas;
use super::stream::Outgoing;
use super::{Limits, Session, resolve};
use crate::arena::Releases;
use crate::connect::{ConnectError, channel, refused};
use crate::fault;
use crate::stats::Counters;
use crate::sync::lock;

/// Longest time for the whole of it, once connected, unless the caller waits longer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// What this client keeps in flight at most, whatever the daemon would allow.
const IN_FLIGHT_MAX: usize = 256;

/// Longest deadline where the daemon names none.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// How long a segment may be idle where the daemon names no time.
const IDLE: Duration = Duration::from_secs(10);

/// What the daemon gave.
pub(super) struct Claim {
    pub(super) rpc: InferenceClient<Channel>,
    pub(super) session_id: v1::Id128,
    pub(super) limits: Limits,
    pub(super) fds: FdSocket,
}

impl Session {
    /// Opens a session for a tenant. A connection may wait at the door of a daemon that is being started anew: its
    /// answer comes late, for which `within` is waited, and 5 s at least.
    pub(crate) async fn open(
        socket: &Path,
        tenant: &Tenant,
        counters: &Arc<Counters>,
        within: Duration,
    ) -> Result<Arc<Self>, ConnectError> {
        let channel = channel(socket).await?;
        let waited = within.max(OPEN_TIMEOUT);
        let claim = timeout(waited, claim(channel, socket, tenant))
            .await
            .map_err(|_| ConnectError::Timeout {
                path: socket.to_path_buf(),
                waited,
            })??;
        counters.session_opened();
        Ok(Self::start(claim, counters))
    }

    pub(super) fn start(claim: Claim, counters: &Arc<Counters>) -> Arc<Self> {
        let Claim {
            rpc,
            session_id,
            limits,
            fds,
        } = claim;
        // Each compute in flight may have its own message and its cancel waiting; one more attaches the
        // stream to the session.
        let room = limits.in_flight_max.saturating_mul(2).saturating_add(1);
        let (requests, queue) = mpsc::channel(room);
        let releases = Arc::new(Releases::default());
        let session = Arc::new(Self {
            id: session_id,
            limits,
            rpc,
            counters: Arc::clone(counters),
            requests,
            request_ids: AtomicU64::new(1),
            permits: Arc::new(Semaphore::new(limits.in_flight_max)),
            in_flight: Mutex::new(HashMap::new()),
            arenas: Mutex::new(Arenas::default()),
            releases: Arc::clone(&releases),
            graphs_released: AtomicU64::new(0),
            granted: watch::Sender::new(0),
            resolved: Mutex::new(resolve::Cache::default()),
            is_leaving: AtomicBool::new(false),
            ended: OnceLock::new(),
            ended_signal: watch::Sender::new(false),
            tasks: Mutex::new(Vec::new()),
        });
        let outgoing = Outgoing::new(session_id, queue, releases);
        let streaming = tokio::spawn(Arc::clone(&session).run_stream(outgoing));
        let granting = tokio::spawn(Arc::clone(&session).run_grants(fds));
        let sweeping = tokio::spawn(Arc::clone(&session).run_sweeps());
        let handles = [&streaming, &granting, &sweeping].map(JoinHandle::abort_handle);
        lock(&session.tasks).extend(handles);
        // A task may have ended it before the other's handle was there to be aborted.
        if session.is_ended() {
            session.abort_tasks();
        }
        session
    }
}

async fn claim(channel: Channel, socket: &Path, tenant: &Tenant) -> Result<Claim, ConnectError> {
    let mut rpc = InferenceClient::new(channel)
        .max_decoding_message_size(nn_proto::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(nn_proto::MESSAGE_BYTES_MAX);
    let request = v1::OpenSessionRequest {
        protocol_version: nn_proto::PROTOCOL_VERSION,
        tenant: tenant.as_str().to_owned(),
    };
    let unanswered = |status: tonic::Status| {
        if fault::is_daemons(&status) {
            return ConnectError::from_daemon(fault::status_to_fault(&status));
        }
        // Nothing was opened, or it ends with this connection: the question may be put again.
        let ended = "it ended the connection without an answer, as it does when this user has too many \
                     (limits.connections_per_uid_max)";
        ConnectError::Io {
            path: socket.to_path_buf(),
            source: io::Error::new(io::ErrorKind::ConnectionReset, ended),
        }
    };
    let opened = rpc.open_session(request).await.map_err(unanswered)?;
    let opened = opened.into_inner();
    let incomplete = || ConnectError::from_daemon(fault::protocol("a session without its ids"));
    let session_id = opened.session_id.ok_or_else(incomplete)?;
    let fd_token = opened.fd_token.ok_or_else(incomplete)?;

    let path = socket.with_file_name(nn_proto::FD_SOCKET);
    let broken = |source| ConnectError::Io {
        path: path.clone(),
        source,
    };
    let fds = FdSocket::connect(&path)
        .await
        .map_err(|source| refused(&path, source))?;
    let hello = v1::FdHello {
        session_id: Some(session_id),
        fd_token: Some(fd_token),
    };
    fds.send(v1::fd_client_message::Body::Hello(hello))
        .await
        .map_err(broken)?;
    let Received { body, .. } = fds.recv().await.map_err(broken)?;
    match body {
        v1::fd_server_message::Body::Accepted(v1::FdAccepted {}) => Ok(Claim {
            rpc,
            session_id,
            limits: limits(opened.limits.as_ref()),
            fds,
        }),
        v1::fd_server_message::Body::Refused(error) => {
            let fault = Fault::from(error);
            if fault.code == Code::NotFound {
                // The daemon that opened the session has been replaced by another between these two steps.
                return Err(broken(io::ErrorKind::ConnectionReset.into()));
            }
            Err(ConnectError::from_daemon(fault))
        }
        v1::fd_server_message::Body::Grant(_) | v1::fd_server_message::Body::Revoked(_) => {
            let fault = fault::protocol("a grant before the session is accepted");
            Err(ConnectError::from_daemon(fault))
        }
    }
}

/// The daemon's limits; 0 stands for none of its own.
pub(super) fn limits(limits: Option<&v1::SessionLimits>) -> Limits {
    let limits = limits.copied().unwrap_or_default();
    let in_flight = usize::try_from(limits.in_flight_max).unwrap_or(IN_FLIGHT_MAX);
    let timeout_max = Duration::from_micros(limits.timeout_max_us);
    Limits {
        in_flight_max: if in_flight == 0 {
            IN_FLIGHT_MAX
        } else {
            in_flight
        }
        .min(IN_FLIGHT_MAX),
        timeout_max: if timeout_max.is_zero() {
            TIMEOUT_MAX
        } else {
            timeout_max
        }
        .min(TIMEOUT_MAX),
        tensor_bytes_max: match limits.tensor_bytes_max {
            0 => u64::MAX,
            bytes => bytes,
        },
        idle: match limits.idle_us {
            0 => IDLE,
            idle => Duration::from_micros(idle),
        },
    }
}
