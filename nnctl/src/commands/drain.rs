//! `nnctl drain`: has the daemon end as SIGTERM does, and waits until nothing is in flight.

use std::time::Duration;

use nn_proto::v1;
use serde::Serialize;

use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::output::{Paint, Report, count};

/// Longer than a daemon may be told to take, which bounds its own wait.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of the computes that were in flight.
#[derive(Debug, Serialize)]
pub(crate) struct Drained {
    in_flight: u32,
    cut_off: u32,
}

/// Asks the daemon.
pub(crate) async fn run(daemon: &Daemon) -> Result<Drained, Failure> {
    let mut admin = daemon.admin();
    let call = admin.drain(v1::DrainRequest {});
    let Ok(answer) = tokio::time::timeout(DRAIN_TIMEOUT, call).await else {
        return Err(Failure::late("drain", DRAIN_TIMEOUT));
    };
    let v1::DrainResponse { in_flight, cut_off } = answer?.into_inner();
    Ok(Drained { in_flight, cut_off })
}

impl Report for Drained {
    fn text(&self, _: Paint) -> String {
        let computes = |number: u32| count(number.into(), "compute");
        let (in_flight, cut_off) = (computes(self.in_flight), self.cut_off);
        match (self.in_flight, cut_off) {
            (0, _) => "drained: nothing was in flight; nn-daemon ends\n".to_owned(),
            (_, 0) => format!("drained: {in_flight} in flight answered; nn-daemon ends\n"),
            _ => format!("drained: of {in_flight} in flight {cut_off} cut off; nn-daemon ends\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_the_computes_is_said() {
        let text = |in_flight, cut_off| Drained { in_flight, cut_off }.text(Paint::Plain);
        assert!(text(0, 0).starts_with("drained: nothing was in flight"));
        assert!(text(1, 0).starts_with("drained: 1 compute in flight answered"));
        assert!(text(3, 2).starts_with("drained: of 3 computes in flight 2 cut off"));
    }
}
