//! What lies between HTTP/2 and the KServe service, and around no other: messages have room before they are taken, and
//! tensors follow answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use nn_proto::MESSAGE_BYTES_MAX;
use tonic::body::Body;
use tower::{Layer, Service};

use super::room::{Charges, Incoming, Rooms};
use super::weave::{Tails, Woven};
use crate::limits::Limits;
use crate::server::Caller;

/// The paths of its calls begin so.
const SERVICE: &str = "/inference.GRPCInferenceService/";

/// Its calls whose messages have tensors: one message each way, and streams of them.
const INFER: &str = "ModelInfer";
const STREAM_INFER: &str = "ModelStreamInfer";

/// Puts [`Carrying`] around services.
#[derive(Clone, Debug)]
pub(in crate::server) struct Carry {
    rooms: Arc<Rooms>,
    message_max: usize,
}

/// Services, of which one carries tensors.
#[derive(Clone, Debug)]
pub(in crate::server) struct Carrying<S> {
    inner: S,
    carry: Carry,
}

impl Carry {
    pub(in crate::server) fn new(limits: &Limits) -> Self {
        let max = usize::try_from(limits.kserve_message_bytes_max);
        Self {
            rooms: Arc::new(Rooms::new(limits.kserve_bytes_per_uid_max)),
            message_max: max.unwrap_or(usize::MAX),
        }
    }
}

impl<S> Layer<S> for Carry {
    type Service = Carrying<S>;

    fn layer(&self, inner: S) -> Carrying<S> {
        Carrying {
            inner,
            carry: self.clone(),
        }
    }
}

impl<S> Service<http::Request<Body>> for Carrying<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        let call = request.uri().path().strip_prefix(SERVICE);
        let (Some(call), Some(caller)) = (call, caller) else {
            return Box::pin(self.inner.call(request));
        };
        let max = match call {
            INFER | STREAM_INFER => self.carry.message_max,
            _ => MESSAGE_BYTES_MAX,
        };
        let stream = (call == STREAM_INFER).then(|| caller.clone());
        let charges = Charges::default();
        request.extensions_mut().insert(charges.clone());
        let rooms = &self.carry.rooms;
        let incoming = |body| Incoming::new(body, rooms, &caller, charges).at_most(max);
        let answer = self
            .inner
            .call(request.map(|body| Body::new(incoming(body))));
        Box::pin(async move {
            let mut answer = answer.await?;
            let tails = answer.extensions_mut().remove::<Tails>();
            Ok(match tails {
                Some(tails) => answer.map(|body| Body::new(Woven::new(body, tails, stream))),
                None => answer,
            })
        })
    }
}
