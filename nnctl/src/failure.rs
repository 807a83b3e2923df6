//! Why a command did not do what it was told: one fault and one exit code, wherever it came from.
//! It prints nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use nn_client::{ConnectError, status_to_fault};
use nn_manual::ManualError;
use nn_tensor::{Code, Fault, Reason};
use serde::Serialize;

use crate::exit::Exit;

/// How the HTTP/2 library calls that the other side has not given a sign of life.
const SILENCE: &str = "timed out";

/// The next step where somebody holds the socket and nobody answers.
const ASK_THE_LOG: &str = "nn-daemon does not start, or is stopped or overloaded: \
                           `systemctl status nn-daemon; journalctl --unit nn-daemon`";

/// A failed command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub(crate) struct Failure {
    /// How the program ends.
    pub(crate) exit: Exit,
    /// What a person needs to mend it.
    pub(crate) fault: Box<Fault>,
}

/// A failure as `--json` shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FailureView {
    error: FaultView,
    exit: u8,
}

/// A fault as `--json` shows it; empty parts are left out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FaultView {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    expected: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    got: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    log_id: String,
}

// === impl Failure ===

impl Failure {
    /// A file on this side is at fault.
    pub(crate) fn file(doing: &str, path: &Path, source: &io::Error) -> Self {
        let fault = Fault::invalid_argument(format!("cannot {doing} {}", path.display()));
        Self::from(fault.got(source.to_string()))
    }

    /// The daemon took too long.
    pub(crate) fn late(what: &str, limit: Duration) -> Self {
        let fault = Fault::new(Code::Timeout, format!("{what} took too long"))
            .expected(format!("an answer within {} s", limit.as_secs()));
        Self::from(fault)
    }

    /// Whoever holds the socket, systemd for one, takes connections; but no daemon comes for them.
    fn silence() -> Self {
        let fault = Fault::runtime("nothing answers at the socket's other end")
            .expected("nn-daemon, which systemd starts when somebody connects")
            .hint(ASK_THE_LOG);
        Self {
            exit: Exit::Unreachable,
            fault: fault.into(),
        }
    }

    /// The arguments contradict each other in a way that the parser cannot see.
    pub(crate) fn usage(fault: Fault) -> Self {
        Self {
            exit: Exit::Usage,
            fault: fault.into(),
        }
    }

    /// The word that machines read.
    pub(crate) fn code_name(&self) -> &'static str {
        match self.exit {
            Exit::Unreachable => "unreachable",
            Exit::Usage => "usage",
            Exit::Ok | Exit::Failed | Exit::NotFound | Exit::Refused => self.fault.code.name(),
        }
    }

    /// The form for `--json`.
    pub(crate) fn view(&self) -> FailureView {
        let error = FaultView {
            code: self.code_name(),
            ..FaultView::from(Fault::clone(&self.fault))
        };
        FailureView {
            error,
            exit: self.exit.number(),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self {
            exit: Exit::of_code(fault.code),
            fault: fault.into(),
        }
    }
}

/// The daemon's own fault where the status carries one; else what its code tells, and the text of
/// whoever made it: the transport, a limit of the gRPC library, a daemon of another version.
impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let fault = status_to_fault(&status);
        if !status.details().is_empty() {
            return Self::from(fault);
        }
        if status.code() == tonic::Code::Unavailable && says(&status, SILENCE) {
            return Self::silence();
        }
        let got = format!("gRPC {:?}: {}", status.code(), status.message());
        Self {
            exit: Exit::of_grpc(status.code()),
            fault: fault.got(got).into(),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let source = std::error::Error::source(&error);
        let got = source.map_or_else(String::new, ToString::to_string);
        let explain = |code| {
            let fault = Fault::new(code, error.to_string());
            fault.got(got.clone()).hint(error.hint())
        };
        match &error {
            ConnectError::Timeout { .. } => Self {
                exit: Exit::Unreachable,
                fault: explain(Code::RuntimeError).hint(ASK_THE_LOG).into(),
            },
            ConnectError::NoSocket { .. }
            | ConnectError::Stale { .. }
            | ConnectError::Io { .. }
            | ConnectError::Transport { .. } => Self {
                exit: Exit::Unreachable,
                fault: explain(Code::RuntimeError).into(),
            },
            ConnectError::Denied { .. } => Self::from(explain(Code::Security)),
            ConnectError::Refused(fault) => Self::from((**fault).clone()),
        }
    }
}

impl From<ManualError> for Failure {
    fn from(error: ManualError) -> Self {
        let source = std::error::Error::source(&error);
        let got = source.map_or_else(String::new, ToString::to_string);
        Self::from(Fault::runtime(error.to_string()).got(got))
    }
}

/// Whether an error, or one of its causes, has these words.
fn says(error: &dyn std::error::Error, words: &str) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if cause.to_string().contains(words) {
            return true;
        }
        next = cause.source();
    }
    false
}

// === impl FaultView ===

impl From<Fault> for FaultView {
    fn from(fault: Fault) -> Self {
        Self {
            code: fault.code.name(),
            message: fault.message,
            expected: fault.expected,
            got: fault.got,
            hint: fault.hint,
            reason: fault.reason.map(Reason::id),
            log_id: fault.log_id.into(),
        }
    }
}

/// What a fault has beside its message, each with its label, for text.
pub(crate) fn parts(fault: &Fault) -> impl Iterator<Item = (&'static str, &str)> {
    let parts: [(&str, &str); 5] = [
        ("expected", &fault.expected),
        ("got", &fault.got),
        ("hint", &fault.hint),
        ("reason", fault.reason.map_or("", Reason::id)),
        ("log id", &fault.log_id),
    ];
    parts.into_iter().filter(|(_, text)| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use nn_proto::v1;
    use prost::Message;
    use tonic::Status;

    use super::*;

    #[test]
    fn a_status_with_a_fault_in_it_is_that_fault() {
        let fault = Fault::not_found("no model bar").hint("see nnctl list");
        let details = v1::Error::from(fault.clone()).encode_to_vec();
        let status = Status::with_details(tonic::Code::Unknown, "", details.into());
        let failure = Failure::from(status);
        assert_eq!((failure.exit, *failure.fault), (Exit::NotFound, fault));
    }

    #[test]
    fn a_status_without_details_is_explained_by_its_code() {
        let failure = Failure::from(Status::permission_denied("uid 7"));
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.fault.got, "gRPC PermissionDenied: uid 7");
    }

    #[test]
    fn a_missing_socket_and_a_forbidden_one_end_differently() {
        let path = std::path::PathBuf::from("/run/nn-daemon/nn.sock");
        let missing = Failure::from(ConnectError::NoSocket { path: path.clone() });
        let denied = Failure::from(ConnectError::Denied { path });
        assert_eq!(
            (missing.exit, denied.exit),
            (Exit::Unreachable, Exit::Refused)
        );
        assert_eq!(missing.code_name(), "unreachable");
        assert!(
            denied.fault.hint.contains("`stat -c %G /run/nn-daemon`"),
            "{denied:?}"
        );
    }

    #[test]
    fn json_leaves_out_what_is_empty() {
        let failure = Failure::from(Fault::busy("the queue of foo is full"));
        let json = serde_json::to_string(&failure.view()).unwrap();
        assert_eq!(
            json,
            r#"{"error":{"code":"busy","message":"the queue of foo is full"},"exit":1}"#
        );
    }
}
