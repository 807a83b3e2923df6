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

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

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

/// Says where this process may make no socket of IP, and so the dialer neither: every endpoint is unreachable then, which
/// tells nobody why.
pub(crate) fn warn_without_network() {
    let made = |family| socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let both = [AddressFamily::Inet, AddressFamily::Inet6].map(made);
    if let [Err(error), Err(_)] = both {
        tracing::warn!(
            "no endpoint of [remote] can be reached, for no socket of IP can be made: {}; hint: nn-daemon.service takes a \
             drop-in (operations.md, Remote engines)",
            error.desc()
        );
    }
}
