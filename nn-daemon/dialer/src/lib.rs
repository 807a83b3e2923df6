//! Connects to the addresses that an operator allows, for processes that have no network, and hands the connected sockets
//! on. It reads not a byte of what comes over them.
//!
//! ```text
//! jail.rs     its own jail, put up before it hears the first relay
//! serve.rs    the loop: the daemon's socket and the relays'
//! pool.rs     threads that dial, and the bounded queue before them
//! connect.rs  a name to addresses, addresses to a connection
//! ```
//!
//! One thread listens; a fixed number of others resolve names and wait for connections, because the C library resolves
//! names only to those who wait. All of them are there before the filter, and none comes after it.

mod connect;
pub mod jail;
mod pool;
pub mod serve;

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use nn_sandbox::ApplyError;
use nn_shm::fds;
use nn_worker_wire::{
    ALLOWED_MAX, BUILD_ID, BUILD_ID_MARK, Endpoint, FRAME_BYTES_MAX, FromDialer, ToDialer,
};
use nn_worker_wire::{decode, encode};

pub use crate::pool::Pool;

/// The daemon's socket: standard input.
const CONTROL_FD: i32 = 0;

/// Behind standard error nothing is its own.
const FIRST_FOREIGN_FD: u32 = 3;

/// All that may be in the environment: how long and how often the C library asks a name server.
const ENVIRONMENT: &str = "RES_OPTIONS";

/// Why a dialer ends.
#[derive(Debug, thiserror::Error)]
pub enum Exit {
    /// The daemon is gone.
    #[error("the daemon has no further use for this dialer")]
    Clean,
    /// Arguments, environment or standard input are not the daemon's.
    #[error("not started by nn-daemon: {0}")]
    Usage(String),
    /// A system call that it cannot do without.
    #[error("{0} failed: {1}")]
    System(&'static str, #[source] io::Error),
    /// A frame that cannot be read, or that should not have come.
    #[error("the daemon broke the protocol: {0}")]
    Protocol(String),
    /// A step of its jail.
    #[error("{0}: {source}", source = .0.source)]
    Jail(#[from] ApplyError),
}

/// What may be dialed.
#[derive(Clone, Debug, Default)]
pub struct Allowed(HashSet<Endpoint>);

// === impl Exit ===

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Usage(_) => 64,
            Self::System(..) => 71,
            Self::Protocol(_) => 76,
            Self::Jail(_) => 77,
        }
    }
}

// === impl Allowed ===

impl Allowed {
    /// These and nothing else.
    ///
    /// # Errors
    /// When there are too many, or one is no endpoint.
    pub fn new(endpoints: &[String]) -> Result<Self, Exit> {
        if endpoints.len() > ALLOWED_MAX {
            let count = endpoints.len();
            return Err(Exit::Protocol(format!("{count} endpoints")));
        }
        let all = endpoints.iter().map(|text| Endpoint::parse(text));
        let all: Result<_, _> = all.collect();
        all.map(Self)
            .map_err(|error| Exit::Protocol(error.to_string()))
    }

    /// The endpoint, if it is among them.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&Endpoint> {
        self.0.get(&Endpoint::parse(text).ok()?)
    }

    /// The ports among them.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let ports: HashSet<u16> = self.0.iter().map(Endpoint::port).collect();
        ports.into_iter().collect()
    }

    /// Whether there is one whose address has to be asked for.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.0.iter().any(|endpoint| endpoint.address().is_none())
    }
}

/// Lives a dialer's life.
pub fn live() -> Exit {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (None, _) => {}
        (Some(only), None) if only == "--build-id" => return print_build_id(),
        _ => return Exit::Usage("it takes no arguments; nn-daemon starts it".to_owned()),
    }
    match begin() {
        Ok((socket, allowed, pool)) => serve::serve(&socket, &allowed, &pool),
        Err(exit) => exit,
    }
}

/// Also keeps the mark in the program, where the daemon looks for it.
fn print_build_id() -> Exit {
    match writeln!(io::stdout(), "{BUILD_ID_MARK}") {
        Ok(()) => Exit::Clean,
        Err(error) => Exit::System("write", error),
    }
}

fn begin() -> Result<(OwnedFd, Allowed, Pool), Exit> {
    let usage = |what: &str| Exit::Usage(what.to_owned());
    fds::close_inherited(FIRST_FOREIGN_FD).map_err(|error| Exit::System("close_range", error))?;
    let socket = fds::inherited(CONTROL_FD).map_err(|error| {
        usage(&format!(
            "standard input is no socket of its kind ({error})"
        ))
    })?;
    if std::env::vars_os().any(|(name, _)| name != ENVIRONMENT) {
        return Err(usage("the environment is not empty"));
    }
    let mut buffer = vec![0; FRAME_BYTES_MAX];
    let came = fds::recv(socket.as_fd(), &mut buffer, 0);
    let came = came.map_err(|error| Exit::System("the daemon's socket", error))?;
    if came.len == 0 {
        return Err(Exit::Clean);
    }
    let bytes = buffer.get(..came.len).unwrap_or_default();
    let frame = decode(bytes).map_err(|error| Exit::Protocol(error.to_string()))?;
    let ToDialer::Allow {
        build_id,
        endpoints,
        layers,
    } = frame
    else {
        return Err(Exit::Protocol("the first frame is not Allow".to_owned()));
    };
    if build_id != BUILD_ID {
        let what = format!("a daemon of build {build_id}; this dialer is of {BUILD_ID}");
        return Err(Exit::Protocol(what));
    }
    let allowed = Allowed::new(&endpoints)?;
    let pool = jail::enter(&allowed, &layers)?;
    let ready = encode(&FromDialer::Ready {
        build_id: BUILD_ID.to_owned(),
    });
    let ready = ready.map_err(|error| Exit::Protocol(error.to_string()))?;
    fds::send(socket.as_fd(), &ready, &[])
        .map_err(|error| Exit::System("the daemon's socket", error))?;
    Ok((socket, allowed, pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_found_whatever_its_letters() {
        let allowed = Allowed::new(&["Engine.example:8001".to_owned()]).unwrap();
        assert!(allowed.find("engine.EXAMPLE:8001").is_some());
        for other in [
            "engine.example:8002",
            "engine.example.:8001",
            "example:8001",
            "x.engine.example:8001",
            "engine.example",
            "",
        ] {
            assert!(allowed.find(other).is_none(), "{other}");
        }
        assert_eq!(allowed.ports(), [8001]);
        assert!(allowed.has_names());
    }

    #[test]
    fn a_list_with_what_is_no_endpoint_is_refused() {
        assert!(Allowed::new(&["engine".to_owned()]).is_err());
        assert!(Allowed::new(&vec!["a:1".to_owned(); ALLOWED_MAX + 1]).is_err());
        assert!(!Allowed::new(&["[::1]:1".to_owned()]).unwrap().has_names());
    }
}
