//! Models that remote engines compute, as far as they are the daemon's concern: the process that connects for relays, what
//! each relay is told, and what it says of its endpoints. The daemon itself has no network: ADR 36, ADR 37.

mod ask;
mod authorities;
mod dialer;
mod differs;
pub(crate) mod endpoints;
mod process;

pub(crate) use authorities::Authorities;
pub(crate) use dialer::{Dialer, DialerError};
pub(crate) use differs::differs;
pub(crate) use endpoints::Endpoints;
pub(crate) use process::DialerProcess;

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Remote;

/// What relays are started with.
#[derive(Debug)]
pub(crate) struct Remotes {
    pub(crate) dialer: Arc<Dialer>,
    /// `host:port` that models may name.
    pub(crate) endpoints: Vec<String>,
    secrets: Option<PathBuf>,
    authorities: Authorities,
}

impl Remotes {
    pub(crate) fn new(config: &Remote, dialer: Arc<Dialer>, authorities: Authorities) -> Self {
        Self {
            dialer,
            endpoints: config.endpoints.clone(),
            secrets: config.secrets.clone(),
            authorities,
        }
    }
}
