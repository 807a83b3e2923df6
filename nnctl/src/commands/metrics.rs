//! `nnctl metrics`: what the daemon counts and measures, as it says it: in Prometheus' text format, which is for programs and
//! has no other form.

use nn_proto::v1;

use crate::daemon::{Daemon, within};
use crate::failure::Failure;
use crate::output::Output;

/// Prints it.
pub(crate) async fn run(daemon: &Daemon) -> Result<(), Failure> {
    let mut admin = daemon.admin();
    let asked = admin.metrics(v1::MetricsRequest {});
    let mut parts = within("metrics", asked).await?.into_inner();
    while let Some(part) = within("metrics", parts.message()).await? {
        Output::data(&part.text)?;
    }
    Ok(())
}
