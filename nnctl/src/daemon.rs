//! The daemon as the commands see it: one connection, and a bound on every call over it.

use std::path::Path;
use std::time::Duration;

use nn_proto::v1::admin_client::AdminClient;
use nn_proto::v1::models_client::ModelsClient;
use nn_tensor::Code;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Channel;

use crate::failure::Failure;

/// Longest time for a call that does not load or compute.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a command is sent anew while the daemon refuses it because it is ending: as long as guests wait for the next.
const LEAVING_MAX: Duration = Duration::from_secs(15);

/// Between two attempts.
const LEAVING_PAUSE: Duration = Duration::from_millis(200);

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

/// Does something, and again while the daemon answers that it is ending and has begun nothing of it.
pub(crate) async fn unless_leaving<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let end = Instant::now() + LEAVING_MAX;
    loop {
        match attempt().await {
            Err(failure) if failure.fault.code == Code::Leaving && Instant::now() < end => {
                tokio::time::sleep(LEAVING_PAUSE).await;
            }
            other => return other,
        }
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use nn_tensor::Fault;

    use super::*;

    async fn attempts(fault: Fault, fail: u32) -> (u32, Result<(), Failure>) {
        let made = Cell::new(0);
        let result = unless_leaving(|| {
            made.set(made.get() + 1);
            let failed = made.get() <= fail;
            let fault = fault.clone();
            async move { if failed { Err(fault.into()) } else { Ok(()) } }
        });
        let result = result.await;
        (made.get(), result)
    }

    #[tokio::test]
    async fn what_an_ending_daemon_has_not_begun_is_asked_of_the_next() {
        let leaving = Fault::new(Code::Leaving, "nn-daemon is ending");
        assert_eq!(attempts(leaving, 2).await, (3, Ok(())));
    }

    #[tokio::test]
    async fn any_other_failure_is_final() {
        let (made, result) = attempts(Fault::busy("full"), 2).await;
        assert!(made == 1 && result.is_err());
    }
}
