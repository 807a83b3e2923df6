//! Exit codes: what a script learns without reading text. `nnctl --help` and docs/operations.md
//! list them; a number never changes its meaning.

use std::process::ExitCode;

use nn_tensor::Code;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// The operation failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// Nobody answers on the socket.
    Unreachable,
    /// No such model, version or sandbox profile; also where access to it is denied.
    NotFound,
    /// Refused by policy.
    Refused,
}

// === impl Exit ===

impl Exit {
    /// The number that the shell sees.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::NotFound => 4,
            Self::Refused => 5,
        }
    }

    /// How a fault of the daemon ends the program.
    pub(crate) const fn of_code(code: Code) -> Self {
        match code {
            Code::NotFound => Self::NotFound,
            Code::Security => Self::Refused,
            Code::InvalidArgument
            | Code::InvalidEncoding
            | Code::Timeout
            | Code::RuntimeError
            | Code::UnsupportedOperation
            | Code::TooLarge
            | Code::Unknown
            | Code::Busy
            | Code::BackendCrashed
            | Code::Leaving => Self::Failed,
        }
    }

    /// How a gRPC status ends it, where the status carries no fault.
    pub(crate) const fn of_grpc(code: tonic::Code) -> Self {
        match code {
            tonic::Code::Ok => Self::Ok,
            tonic::Code::NotFound => Self::NotFound,
            tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => Self::Refused,
            tonic::Code::Unavailable => Self::Unreachable,
            tonic::Code::Cancelled
            | tonic::Code::Unknown
            | tonic::Code::InvalidArgument
            | tonic::Code::DeadlineExceeded
            | tonic::Code::AlreadyExists
            | tonic::Code::ResourceExhausted
            | tonic::Code::FailedPrecondition
            | tonic::Code::Aborted
            | tonic::Code::OutOfRange
            | tonic::Code::Unimplemented
            | tonic::Code::Internal
            | tonic::Code::DataLoss => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_manual() {
        let numbers = [
            Exit::Ok,
            Exit::Failed,
            Exit::Usage,
            Exit::Unreachable,
            Exit::NotFound,
            Exit::Refused,
        ]
        .map(Exit::number);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn every_code_of_the_daemon_ends_as_the_manual_says() {
        let exits = Code::ALL.map(|code| Exit::of_code(code).number());
        assert_eq!(exits, [1, 1, 1, 1, 1, 1, 4, 5, 1, 1, 1, 1]);
    }

    #[test]
    fn a_bare_status_keeps_the_distinctions_that_matter() {
        let exits = [
            tonic::Code::Unavailable,
            tonic::Code::NotFound,
            tonic::Code::PermissionDenied,
            tonic::Code::DeadlineExceeded,
        ]
        .map(|code| Exit::of_grpc(code).number());
        assert_eq!(exits, [3, 4, 5, 1]);
    }
}
