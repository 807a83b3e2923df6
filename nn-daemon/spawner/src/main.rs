//! `nn-spawner`: starts workers for the daemon, and waits for them. Started by `nn-daemon` only; its
//! standard input *is* the connection to it (`SOCK_SEQPACKET`).
//!
//! It is small and has one thread, because it is the one that will make namespaces, and because a
//! child dies with the thread that made it. It reads nothing that a client wrote. Once the daemon knows what workers
//! take, it has the spawner jail itself too (`jail.rs`); what it starts from there on inherits that.
//!
//! Exit codes:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | the daemon closed the connection, or SIGTERM; no worker is left |
//! | 64 | not started as a spawner: an argument, or standard input is no such socket |
//! | 65 | the worker program or the framework's library was refused; the log says why |
//! | 71 | the system refused something that a spawner cannot do without |
//! | 76 | the daemon broke the protocol, or asked for other workers than it had said |
//! | 77 | its own jail could not be put up |

mod clone;
mod ids;
mod jail;
mod outfit;
mod program;
mod report;
mod serve;
mod workers;

use std::io::Write;
use std::process::ExitCode;

/// Why a spawner ends.
#[derive(Debug, thiserror::Error)]
enum Exit {
    #[error("the daemon has no further use for this spawner")]
    Clean,
    #[error("not started as a spawner: {0}")]
    Usage(String),
    #[error("the worker program was refused: {0}")]
    Program(#[from] program::ProgramError),
    #[error("the framework's library was refused: {0}")]
    Library(#[source] program::ProgramError),
    #[error("refused: {0}")]
    Refused(#[from] outfit::Refusal),
    #[error("{0} failed: {1}")]
    System(&'static str, #[source] std::io::Error),
    #[error("the daemon broke the protocol: {0}")]
    Protocol(String),
    #[error("{0}")]
    Jail(String),
}

fn main() -> ExitCode {
    let exit = if std::env::args_os().len() > 1 {
        Exit::Usage("it takes no arguments; nn-daemon starts it".to_owned())
    } else {
        serve::serve()
    };
    let code = match &exit {
        Exit::Clean => 0,
        Exit::Usage(_) => 64,
        Exit::Program(_) | Exit::Library(_) => 65,
        Exit::System(..) => 71,
        Exit::Protocol(_) | Exit::Refused(_) => 76,
        Exit::Jail(_) => 77,
    };
    if code != 0 {
        // Nobody is left to tell that this cannot be said.
        let _ = writeln!(std::io::stderr(), "nn-spawner: {exit}");
    }
    ExitCode::from(code)
}
