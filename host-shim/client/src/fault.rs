//! What went wrong between here and the daemon, as a [`Fault`]. The sentences may reach a guest, so
//! none holds a path, an address or another program's text: those go to the log.

use nn_proto::v1;
use nn_tensor::{Code, Fault, Reason};
use prost::Message;

/// The connection ended while an answer was awaited.
pub(crate) fn lost() -> Fault {
    Fault::of(Reason::DaemonLost)
}

/// The session ended, or was about to, before the daemon was asked: it may be asked in the next one.
pub(crate) fn not_begun() -> Fault {
    Fault::of(Reason::DaemonLeaving)
        .message("nn-daemon ended before it was asked")
        .hint("call again")
}

/// No connection could be made in the time there was.
pub(crate) fn unreachable() -> Fault {
    Fault::of(Reason::DaemonUnreachable)
}

/// The daemon answered outside the protocol.
pub(crate) fn protocol(what: &str) -> Fault {
    Fault::of(Reason::AnswerProtocol)
        .message(format!("nn-daemon's answer breaks the protocol: {what}"))
}

/// Whether a daemon has said so itself: what went wrong on the way has a cause on this side.
pub(crate) fn is_daemons(status: &tonic::Status) -> bool {
    status.code() != tonic::Code::Unavailable && std::error::Error::source(status).is_none()
}

/// What a gRPC status means: the `nn.v1.Error` in its details, else the nearest code.
#[must_use]
pub fn status_to_fault(status: &tonic::Status) -> Fault {
    let details = v1::Error::decode(status.details())
        .ok()
        .filter(|error| error.code != 0 && !error.message.is_empty());
    if let Some(error) = details {
        return error.into();
    }
    tracing::debug!(%status, "a status without details");
    match status.code() {
        tonic::Code::InvalidArgument | tonic::Code::OutOfRange => {
            Fault::invalid_argument("nn-daemon refused the request as malformed")
        }
        tonic::Code::DeadlineExceeded => Fault::of(Reason::DaemonSilent),
        tonic::Code::NotFound => Fault::not_found("nn-daemon knows nothing of that name"),
        tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => {
            Fault::new(Code::Security, "nn-daemon does not allow that")
        }
        tonic::Code::ResourceExhausted => {
            Fault::busy("nn-daemon has no room at this moment").hint("try again later")
        }
        tonic::Code::Unimplemented => {
            Fault::new(Code::UnsupportedOperation, "nn-daemon does not offer that")
                .hint("nn-daemon and this host must be of the same release")
        }
        tonic::Code::Unavailable | tonic::Code::Cancelled => lost(),
        tonic::Code::Ok
        | tonic::Code::Unknown
        | tonic::Code::AlreadyExists
        | tonic::Code::FailedPrecondition
        | tonic::Code::Aborted
        | tonic::Code::Internal
        | tonic::Code::DataLoss => Fault::runtime("nn-daemon failed to answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_in_the_details_wins() {
        let fault = Fault::not_found("no model nosuch").hint("nnctl list");
        let details = v1::Error::from(fault.clone()).encode_to_vec();
        let status = tonic::Status::with_details(tonic::Code::Internal, "x", details.into());
        assert_eq!(status_to_fault(&status), fault);
    }

    #[test]
    fn a_bare_status_says_nothing_of_its_own_text() {
        let fault = status_to_fault(&tonic::Status::internal("/run/secret 0xdead"));
        assert_eq!(fault.code, Code::RuntimeError);
        assert!(!fault.to_string().contains("secret"));
    }

    #[test]
    fn details_that_are_no_error_are_ignored() {
        let junk = vec![0xff, 0xff, 0xff].into();
        let status = tonic::Status::with_details(tonic::Code::NotFound, "x", junk);
        assert_eq!(status_to_fault(&status).code, Code::NotFound);
    }
}
