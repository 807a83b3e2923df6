//! The one table from a fault to a gRPC status. The whole fault travels in the status's details.

use nn_proto::v1;
use nn_tensor::{Code, Fault};
use prost::Message;
use tonic::Status;

/// The code of a status, by that of a fault.
pub(crate) const fn code(code: Code) -> tonic::Code {
    match code {
        Code::InvalidArgument | Code::InvalidEncoding => tonic::Code::InvalidArgument,
        Code::Timeout => tonic::Code::DeadlineExceeded,
        Code::RuntimeError => tonic::Code::Internal,
        Code::UnsupportedOperation => tonic::Code::Unimplemented,
        Code::TooLarge => tonic::Code::OutOfRange,
        Code::NotFound => tonic::Code::NotFound,
        Code::Security => tonic::Code::PermissionDenied,
        Code::Unknown => tonic::Code::Unknown,
        Code::Busy => tonic::Code::ResourceExhausted,
        Code::BackendCrashed | Code::Leaving => tonic::Code::Unavailable,
    }
}

/// The status of a fault: its code by this table, its text for people, itself in the details.
pub(crate) fn status(fault: Fault) -> Status {
    let code = code(fault.code);
    let text = fault.to_string();
    let details = v1::Error::from(fault).encode_to_vec();
    Status::with_details(code, text, details.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_travels_whole() {
        let fault = Fault::not_found("no model")
            .expected("one")
            .got("none")
            .hint("load it")
            .log_id("7");
        let status = status(fault.clone());
        assert_eq!(status.code(), tonic::Code::NotFound);
        assert_eq!(
            Fault::from(v1::Error::decode(status.details()).unwrap()),
            fault
        );
    }
}
