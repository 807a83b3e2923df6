//! The daemon as the commands see it: one connection, and a bound on every call over it.

use std::path::Path;
use std::time::Duration;

use nn_proto::v1::admin_client::AdminClient;
use nn_proto::v1::models_client::ModelsClient;
use tonic::Status;
use tonic::transport::Channel;

use crate::failure::Failure;

/// Longest time for a call that does not load or compute.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to the daemon.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    channel: Channel,
}

// === impl Daemon ===

impl Daemon {
    /// Connects, within 2 s.
    pub(crate) async fn connect(socket: &Path) -> Result<Self, Failure> {
        let channel = nn_client::channel(socket).await?;
        Ok(Self { channel })
    }

    /// The service that owns models.
    pub(crate) fn models(&self) -> ModelsClient<Channel> {
        ModelsClient::new(self.channel.clone())
    }

    /// The service for the daemon itself.
    pub(crate) fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel.clone())
    }
}

/// Awaits a call, but not for ever.
pub(crate) async fn within<T>(
    what: &str,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::late(what, CALL_TIMEOUT)),
    }
}
