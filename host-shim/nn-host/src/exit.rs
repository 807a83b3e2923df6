//! Why nn-host itself ends, and by which exit code. A guest's own exit code passes through untouched.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nn_client::ConnectError;
use nn_tensor::{Code, NameError};

use crate::cache::CacheError;
use crate::serve::ServeError;

/// The operation failed.
pub(crate) const FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const NOT_FOUND: u8 = 4;
const REFUSED: u8 = 5;
/// 128 + the signal's number, as shells have it.
const INTERRUPTED: u8 = 130;

/// Why nn-host ends without the guest having ended by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The guest's file cannot be read.
    #[error("cannot read the guest {}", path.display())]
    Guest {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The guest's file is no WebAssembly.
    #[error("{} is not WebAssembly", path.display())]
    NotWasm {
        path: PathBuf,
        #[source]
        source: wat::Error,
    },
    /// A core module that is no command.
    #[error("the core module exports no function _start, so there is nothing to run")]
    NoStart,
    /// The directory for machine code that was asked for cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The guest cannot be compiled or does not fit.
    #[error("the guest cannot be run")]
    Unfit(#[source] CausedBy),
    /// The guest trapped.
    #[error("the guest trapped: {0}")]
    Trap(String),
    /// The guest took longer than it may.
    #[error("the guest did not end within {} s and was stopped", .0.as_secs_f32())]
    Timeout(Duration),
    /// Ctrl-C or SIGTERM.
    #[error("interrupted; the guest was stopped")]
    Interrupted,
    /// A tenant's name is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A directory for the guest cannot be opened.
    #[error("cannot open the directory {} for the guest", path.display())]
    Dir {
        path: PathBuf,
        #[source]
        source: CausedBy,
    },
    /// There is no session with the daemon.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// `nn-host serve` cannot begin.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The private daemon cannot be started.
    #[error("cannot start a private nn-daemon")]
    Spawn(#[source] io::Error),
    /// A model repository for the private daemon is none.
    #[error("there is no model repository at {}", .0.display())]
    Repository(PathBuf),
    /// There is no daemon to start.
    #[error("there is no nn-daemon at {}", .0.display())]
    NoDaemon(PathBuf),
    /// The private daemon ended before it could be used.
    #[error("the private nn-daemon ended at once ({status})\n{log}")]
    DaemonEnded { status: String, log: String },
    /// The private daemon does not answer.
    #[error("the private nn-daemon did not answer within {} s\n{log}", waited.as_secs())]
    DaemonSilent {
        waited: Duration,
        log: String,
        #[source]
        source: ConnectError,
    },
}

/// wasmtime's error as a source: it does not implement the trait itself.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub(crate) struct CausedBy(pub(crate) wasmtime::Error);

// === impl Failure ===

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Guest { source, .. } if source.kind() == io::ErrorKind::NotFound => NOT_FOUND,
            Self::Connect(ConnectError::Refused(fault)) => match fault.code {
                Code::Security => REFUSED,
                Code::NotFound => NOT_FOUND,
                Code::InvalidArgument
                | Code::InvalidEncoding
                | Code::Timeout
                | Code::RuntimeError
                | Code::UnsupportedOperation
                | Code::TooLarge
                | Code::Unknown
                | Code::Busy
                | Code::BackendCrashed
                | Code::Leaving => FAILED,
            },
            Self::Connect(
                ConnectError::NoSocket { .. }
                | ConnectError::Stale { .. }
                | ConnectError::Denied { .. }
                | ConnectError::Timeout { .. }
                | ConnectError::Io { .. }
                | ConnectError::Transport { .. },
            )
            | Self::DaemonEnded { .. }
            | Self::DaemonSilent { .. } => UNREACHABLE,
            Self::Name(_) => USAGE,
            Self::Serve(error) if error.is_usage() => USAGE,
            Self::Serve(ServeError::NotReady { fault, .. }) if fault.code == Code::NotFound => {
                NOT_FOUND
            }
            Self::Interrupted => INTERRUPTED,
            Self::Guest { .. }
            | Self::NotWasm { .. }
            | Self::NoStart
            | Self::Unfit(_)
            | Self::Trap(_)
            | Self::Timeout(_)
            | Self::Cache(_)
            | Self::Dir { .. }
            | Self::Serve(_)
            | Self::Spawn(_)
            | Self::NoDaemon(_) => FAILED,
            Self::Repository(_) => NOT_FOUND,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Connect(error) => error.hint(),
            Self::NotWasm { .. } => {
                "a guest is a component or a core module, as binary or text: in Rust the targets \
                 wasm32-wasip2 and wasm32-wasip1"
                    .to_owned()
            }
            Self::NoStart => {
                "build it as a command (a program with a main function), not as a library".to_owned()
            }
            Self::Cache(_) => {
                "a directory of your own that nobody else may write, or --no-cache".to_owned()
            }
            Self::NoDaemon(_) => {
                "nn-host looks for nn-daemon beside itself: build both, or run nn-daemon and name its \
                 socket by --socket"
                    .to_owned()
            }
            Self::Trap(_) => "-vv shows where".to_owned(),
            Self::Repository(_) => {
                "--model-repository names a directory of models NAME/VERSION/model.onnx".to_owned()
            }
            Self::Serve(ServeError::Unfit { source, .. }) => {
                return unfit_hint(&source.to_string()).map(str::to_owned);
            }
            Self::Serve(error) => error.hint().to_owned(),
            Self::Unfit(error) => return unfit_hint(&error.to_string()).map(str::to_owned),
            Self::Timeout(_) => "--timeout sets how long a guest may run".to_owned(),
            Self::Guest { .. }
            | Self::Interrupted
            | Self::Name(_)
            | Self::Dir { .. }
            | Self::Spawn(_)
            | Self::DaemonEnded { .. }
            | Self::DaemonSilent { .. } => return None,
        };
        Some(hint).filter(|hint| !hint.is_empty())
    }
}

/// What a guest that cannot be linked should know of what is offered.
fn unfit_hint(error: &str) -> Option<&'static str> {
    if error.contains("wasi_ephemeral_nn::") {
        return Some(
            "offered are load, load_by_name, init_execution_context, set_input, get_output and compute; what \
             WasmEdge has besides (unload, config, the functions for single outputs) is not",
        );
    }
    error
        .contains("wasi:nn/")
        .then_some("the version of wasi-nn that is offered is wasi:nn@0.2.0-rc-2024-10-28")
}

#[cfg(test)]
mod tests {
    use nn_tensor::Fault;

    use super::*;

    #[test]
    fn an_unreachable_daemon_and_a_refusal_are_told_apart() {
        let unreachable = ConnectError::NoSocket { path: "x".into() };
        let refused = ConnectError::Refused(Box::new(Fault::new(Code::Security, "no")));
        let codes = [unreachable, refused].map(|error| Failure::from(error).exit_code());
        assert_eq!(codes, [UNREACHABLE, REFUSED]);
    }

    #[test]
    fn a_guest_that_is_not_there_is_not_found() {
        let failure = Failure::Guest {
            path: "x".into(),
            source: io::ErrorKind::NotFound.into(),
        };
        assert_eq!(failure.exit_code(), NOT_FOUND);
    }

    #[test]
    fn a_guest_of_another_wasi_nn_is_told_which_is_offered() {
        let extra = unfit_hint("unknown import: `wasi_ephemeral_nn::unload` has not been defined");
        let other = unfit_hint("component imports instance `wasi:nn/graph@0.2.0`");
        assert!(extra.unwrap().contains("load_by_name"));
        assert!(other.unwrap().contains("2024-10-28"));
        assert_eq!(unfit_hint("bad magic"), None);
    }
}
