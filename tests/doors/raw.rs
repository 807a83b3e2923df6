//! A client that speaks nn.v1 by hand on both sockets, so that it can leave out what an honest one does.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use nn_proto::v1::inference_client::InferenceClient;
use nn_proto::v1::{self, fd_client_message, fd_server_message, infer_request, infer_response};
use nn_shm::{Mapping, Segment, fds};
use nn_tests::Daemon;
use prost::Message;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

/// Longer than every deadline of the daemon's for a connection.
const PATIENCE_S: i64 = 30;

/// Marsaglia's xorshift64.
pub(crate) struct Random(u64);

/// A session that its test drives message by message.
pub(crate) struct Raw {
    runtime: Runtime,
    pub(crate) rpc: InferenceClient<Channel>,
    pub(crate) id: v1::Id128,
    pub(crate) fds: OwnedFd,
}

/// A graph, and the first segment of its input arena, mapped and said to be.
pub(crate) struct RawGraph {
    pub(crate) resolved: v1::ResolveGraphResponse,
    pub(crate) input: Mapping,
}

/// The stream of computes.
pub(crate) struct RawStream {
    id: v1::Id128,
    requests: mpsc::Sender<v1::InferRequest>,
    answers: tonic::Streaming<v1::InferResponse>,
}

// === impl Random ===

impl Random {
    pub(crate) fn new() -> Self {
        let seed = u64::from(std::process::id()) | 1;
        println!("seed {seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

/// A connection to `fd.sock`, with nothing said on it.
pub(crate) fn knock(daemon: &Daemon) -> nix::Result<OwnedFd> {
    let kind = SockType::SeqPacket;
    let fd = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let path = daemon.socket().with_file_name(nn_proto::FD_SOCKET);
    let patience = TimeVal::new(PATIENCE_S, 0);
    setsockopt(&fd, sockopt::ReceiveTimeout, &patience)?;
    setsockopt(&fd, sockopt::SendTimeout, &patience)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(&path)?)?;
    Ok(fd)
}

/// Sends a packet of any kind.
pub(crate) fn send(fd: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> nix::Result<usize> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let bytes = [IoSlice::new(bytes)];
    sendmsg::<UnixAddr>(
        fd.as_raw_fd(),
        &bytes,
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
}

/// A packet that claims a session.
pub(crate) fn hello(id: Option<v1::Id128>, token: Option<v1::Id128>) -> Vec<u8> {
    packet(fd_client_message::Body::Hello(v1::FdHello {
        session_id: id,
        fd_token: token,
    }))
}

pub(crate) fn packet(body: fd_client_message::Body) -> Vec<u8> {
    v1::FdClientMessage { body: Some(body) }.encode_to_vec()
}

/// What comes next; `None` at the end of the connection.
pub(crate) fn receive(fd: &OwnedFd) -> Option<(fd_server_message::Body, Option<OwnedFd>)> {
    let mut buffer = [0; nn_proto::FD_PACKET_BYTES_MAX];
    // A connection that ended with bytes of ours unread is reset.
    let mut packet = fds::recv(fd.as_fd(), &mut buffer, 1).ok()?;
    if packet.len == 0 {
        return None;
    }
    let message = v1::FdServerMessage::decode(&buffer[..packet.len]).unwrap();
    Some((message.body.unwrap(), packet.fds.pop()))
}

/// The code of a refusal.
pub(crate) fn refusal(fd: &OwnedFd) -> Option<v1::Code> {
    match receive(fd)?.0 {
        fd_server_message::Body::Refused(error) => Some(error.code()),
        other => panic!("{other:?}"),
    }
}

// === impl Raw ===

impl Raw {
    /// A session of the default tenant.
    pub(crate) fn open(daemon: &Daemon) -> Self {
        Self::of(daemon, "").unwrap()
    }

    /// A session of a tenant.
    pub(crate) fn of(daemon: &Daemon, tenant: &str) -> Result<Self, Status> {
        let runtime = runtime();
        let (rpc, opened) = runtime.block_on(opened(daemon, tenant))?;
        let fds = knock(daemon).unwrap();
        send(&fds, &hello(opened.session_id, opened.fd_token), &[]).unwrap();
        let first = receive(&fds);
        assert!(
            matches!(first, Some((fd_server_message::Body::Accepted(_), None))),
            "{first:?}"
        );
        let id = opened.session_id.unwrap();
        Ok(Self {
            runtime,
            rpc,
            id,
            fds,
        })
    }

    /// Waits for a call.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn resolve(&self, name: &str) -> Result<v1::ResolveGraphResponse, Status> {
        let request = v1::ResolveGraphRequest {
            session_id: Some(self.id),
            reference: name.to_owned(),
        };
        let mut rpc = self.rpc.clone();
        let resolved = self.block_on(rpc.resolve_graph(request))?;
        Ok(resolved.into_inner())
    }

    /// Adds a segment to an arena, whose grant is not taken.
    pub(crate) fn grow(&self, arena: u64, bytes_min: u64) -> Result<v1::Segment, Status> {
        let request = v1::GrowArenaRequest {
            session_id: Some(self.id),
            arena_id: arena,
            bytes_min,
        };
        let mut rpc = self.rpc.clone();
        let grown = self.block_on(rpc.grow_arena(request))?;
        Ok(grown.into_inner().segment.unwrap())
    }

    /// A graph whose input segment is mapped as the protocol has it.
    pub(crate) fn graph(&self, name: &str) -> RawGraph {
        let resolved = self.resolve(name).unwrap();
        let (grant, fd) = self.grant();
        let input = Segment::for_writer(fd, grant.bytes).unwrap();
        let input = input.map_writer().unwrap();
        let mapped = v1::FdMapped {
            arena_id: grant.arena_id,
            segment: grant.segment,
        };
        let mapped = packet(fd_client_message::Body::Mapped(mapped));
        send(&self.fds, &mapped, &[]).unwrap();
        RawGraph { resolved, input }
    }

    /// The next segment that comes.
    pub(crate) fn grant(&self) -> (v1::FdGrant, OwnedFd) {
        match receive(&self.fds) {
            Some((fd_server_message::Body::Grant(grant), Some(fd))) => (grant, fd),
            other => panic!("{other:?}"),
        }
    }

    /// The stream of computes, bound to this session.
    pub(crate) fn stream(&self) -> RawStream {
        let (requests, stream) = mpsc::channel(1024);
        let bind = v1::InferRequest {
            session_id: Some(self.id),
            request_id: 0,
            body: None,
        };
        requests.try_send(bind).unwrap();
        let mut rpc = self.rpc.clone();
        let answers = self.block_on(rpc.infer(ReceiverStream::new(stream)));
        RawStream {
            id: self.id,
            requests,
            answers: answers.unwrap().into_inner(),
        }
    }
}

impl RawGraph {
    /// A compute of the whole input, or of its first bytes.
    pub(crate) fn compute(
        &self,
        name: &str,
        dtype: v1::DType,
        dims: &[u32],
        bytes: u64,
    ) -> v1::Compute {
        let slot = v1::Slot {
            arena_id: self.resolved.arena_id,
            segment: self.resolved.segment.unwrap().id,
            offset: 0,
            bytes,
            generation: 0,
        };
        v1::Compute {
            graph_id: self.resolved.graph_id,
            inputs: vec![v1::Tensor {
                name: name.to_owned(),
                dtype: dtype.into(),
                dims: dims.to_vec(),
                slot: Some(slot),
            }],
            timeout_us: 0,
            trace: String::new(),
        }
    }
}

impl RawStream {
    pub(crate) fn send(&self, request_id: u64, body: infer_request::Body) {
        let request = v1::InferRequest {
            session_id: Some(self.id),
            request_id,
            body: Some(body),
        };
        self.requests.blocking_send(request).unwrap();
    }

    /// Whether no answer comes for so long; one that does is not kept.
    pub(crate) fn is_silent(&mut self, raw: &Raw, time: Duration) -> bool {
        let next = async { tokio::time::timeout(time, self.answers.message()).await };
        raw.block_on(next).is_err()
    }

    /// The next answer to a compute.
    pub(crate) fn answer(&mut self, raw: &Raw) -> Option<(u64, infer_response::Body)> {
        let answer = raw.block_on(self.answers.message()).ok()??;
        Some((answer.request_id, answer.body.unwrap()))
    }
}

/// A runtime whose connections go on while nobody waits for them.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// A session that nobody has claimed.
pub(crate) async fn opened(
    daemon: &Daemon,
    tenant: &str,
) -> Result<(InferenceClient<Channel>, v1::OpenSessionResponse), Status> {
    let channel = nn_client::channel(&daemon.socket()).await.unwrap();
    let mut rpc = InferenceClient::new(channel);
    let request = v1::OpenSessionRequest {
        protocol_version: nn_proto::PROTOCOL_VERSION,
        tenant: tenant.to_owned(),
    };
    let opened = rpc.open_session(request).await?.into_inner();
    Ok((rpc, opened))
}
