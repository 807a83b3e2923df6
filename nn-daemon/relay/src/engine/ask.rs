//! What an endpoint is asked before calls are sent there: whether it has the model, and what that takes and gives.

use bytes::Bytes;
use h2::client::SendRequest;
use nn_tensor::{Reason, Signature};
use nn_worker_wire::Remote;
use tokio::time::Instant;

use super::call::{Call, unary};
use super::failed::Failed;
use super::link::Common;
use super::message::{self, Metadata};
use super::protobuf::Malformed;
use super::signature::signature;

/// The longest answer about a model's metadata.
const METADATA_BYTES_MAX: usize = 1 << 20;

/// Whether the endpoint has the model, ready, and what it takes and gives.
pub(super) async fn ask(
    send: &SendRequest<Bytes>,
    common: &Common,
    (base, deadline): (&str, Instant),
) -> Result<Signature, Failed> {
    let remote = &common.remote;
    let call = |method| Call {
        base,
        method,
        message: message::about(&remote.model, &remote.version),
        along: &common.along,
        deadline,
        bytes_max: METADATA_BYTES_MAX,
    };
    let unfit = |failed| unfit(common, failed);
    let malformed = |error: Malformed| {
        let failed = Failed::unsent(Reason::RemoteModel, &error.to_string());
        failed.expected("an endpoint that speaks the Open Inference Protocol")
    };
    let ready = unary(send.clone(), &call("ModelReady"), || ()).await;
    if !message::ready(&ready.map_err(unfit)?).map_err(malformed)? {
        let failed = Failed::unsent(Reason::RemoteModel, "it says that it is not ready");
        return Err(failed.expected(there(remote)).got("it is not"));
    }
    let metadata = unary(send.clone(), &call("ModelMetadata"), || ()).await;
    let metadata = metadata.map_err(unfit)?;
    signature(&Metadata::read(&metadata).map_err(malformed)?)
}

/// That its model is not there is no failure of a call: nothing of a client's was sent.
fn unfit(common: &Common, failed: Failed) -> Failed {
    let reason = match failed.reason {
        Reason::RemoteFailed | Reason::RemoteAnswer => Reason::RemoteModel,
        Reason::RemoteLost => Reason::RemoteUnreachable,
        other => other,
    };
    let failed = Failed {
        reason,
        sent: false,
        blames: true,
        ..failed
    };
    if !failed.expected.is_empty() {
        return failed;
    }
    match (reason, &*failed.got) {
        (_, "gRPC status UNAUTHENTICATED" | "gRPC status PERMISSION_DENIED") => failed
            .expected("an endpoint that answers who calls as [kserve.auth] and [kserve.tls] say"),
        (Reason::RemoteUnreachable, _) if common.tls.is_some() => failed
            .expected("an endpoint that takes the client's certificate, or wants none (kserve.tls.certificate)")
            .got("the end of the connection"),
        (Reason::RemoteUnreachable, _) => failed
            .expected("an endpoint that speaks gRPC; where it does over TLS, a table [kserve.tls]")
            .got("the end of the connection"),
        _ => failed.expected(there(&common.remote)),
    }
}

/// What is wanted of an endpoint.
fn there(remote: &Remote) -> String {
    let model = &remote.model;
    match &*remote.version {
        "" => format!("{model} to be ready there"),
        version => format!("{model}, version {version}, to be ready there"),
    }
}
