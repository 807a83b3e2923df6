//! Messages between daemon, spawner and worker: one bincode frame a packet over `SOCK_SEQPACKET`.
//!
//! Daemon and workers are built together; there is no version skew to bridge, only to detect
//! ([`BUILD_ID`]). Either end treats a frame it cannot read as the end of the other: nothing is
//! skipped or guessed. Sending and receiving packets is `nn_shm::fds`'s job.
//!
//! ```text
//! daemon → worker   Boot  Convert  Model  Attach  Run  Release  Detach  Unmap  Trim  Refuse  Probe  Bye
//!                   Interrupt, on a socket of its own
//! worker → daemon   Ready  Loaded  Attached  Grow  Trimmed  Alive  Done
//! daemon → spawner  Program  Relay  Try  Workers  Jail  Spawn  Attest  Kill
//! spawner → daemon  Tried  Jailed  Spawned  Attested  Exited
//! spawner → worker  Order, on a pipe of its own, before the worker hears the daemon
//! relays, dialer    see remote.rs
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)
)]

mod codec;
mod conversion;
mod convert;
mod endpoint;
mod message;
mod order;
mod remote;
mod spawner;
pub mod status;
mod version;

pub use codec::{FRAME_BYTES_MAX, WireError, decode, encode};
pub use conversion::{Conversion, Numbers, WirePicture};
pub use endpoint::{Endpoint, EndpointError};
pub use message::{
    Dim, Failure, FromWorker, Interrupt, PREPARED, Part, Precision, Role, Run, Signature, Slot,
    Spec, Tensor, ToWorker,
};
pub use order::{LIBRARIES_MAX, Library, Order, PREPARES, Sandbox, Workers, backend_of};
pub use remote::{
    ALLOWED_MAX, Breaker, BreakerRule, CONNECT_MS_MAX, Dial, DialFailure, Dialed, ENDPOINTS_MAX,
    EndpointState, FromDialer, HEADERS_BYTES_MAX, HEADERS_MAX, IN_FLIGHT_MAX, MESSAGE_BYTES_MAX,
    RELAY_PROFILE, REMOTE, REMOTE_BYTES_MAX, Remote, RemoteTls, ToDialer,
};
pub use spawner::{
    Born, End, FromSpawner, Namespace, Report, THREADS_MAX, ToSpawner, WALLS, walls,
};
pub use version::{BUILD_ID, BUILD_ID_MARK, build_id_in};
