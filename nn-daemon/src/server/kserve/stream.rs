//! ModelStreamInfer: requests one behind the other on one stream, several of them in the making, answered in their order.
//! One that fails is answered by its error, and the stream goes on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use nn_proto::kserve::inference::{
    ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
};
use nn_tensor::{Fault, Reason};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::infer::answer;
use super::room::{Charge, Charges};
use super::weave::{Tail, Tails};
use super::{Service, caller};
use crate::kserve::Wanted;
use crate::server::Caller;

/// Requests of one stream that are in the making, or whose answers have not been taken.
const AHEAD_MAX: usize = 16;

type Answer = (ModelStreamInferResponse, Tail);
type Pending = Result<oneshot::Receiver<Answer>, Status>;

/// What a stream is answered, in order.
#[derive(Debug)]
pub(in crate::server) struct Answers {
    pending: mpsc::Receiver<Pending>,
    first: Option<oneshot::Receiver<Answer>>,
    tails: Tails,
}

/// Begins to serve a stream.
pub(super) fn serve(
    service: Service,
    request: Request<Streaming<ModelInferRequest>>,
) -> Result<Response<Answers>, Status> {
    let caller = caller(&request)?;
    let charges = request.extensions().get::<Charges>().cloned();
    let metadata = request.metadata().clone();
    let (out, pending) = mpsc::channel(AHEAD_MAX);
    let from = Requests {
        service,
        caller,
        metadata,
        charges: charges.unwrap_or_default(),
    };
    tokio::spawn(from.read(request.into_inner(), out));
    let tails = Tails::default();
    let mut answers = Response::new(Answers {
        pending,
        first: None,
        tails: tails.clone(),
    });
    answers.extensions_mut().insert(tails);
    Ok(answers)
}

/// Where a stream's requests come from.
struct Requests {
    service: Service,
    caller: Caller,
    metadata: MetadataMap,
    charges: Charges,
}

impl Requests {
    /// Takes requests up as there is room for their answers, until the client has sent its last, or goes.
    async fn read(self, mut requests: Streaming<ModelInferRequest>, out: mpsc::Sender<Pending>) {
        let from = Arc::new(self);
        loop {
            let Ok(place) = out.reserve().await else {
                return;
            };
            let message = tokio::select! {
                message = requests.message() => message,
                () = out.closed() => return,
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return,
                // What comes after bytes that are no message cannot be trusted to be one.
                Err(status) => return place.send(Err(status)),
            };
            let charge = from.charges.pop();
            let (mut answer, answered) = oneshot::channel();
            place.send(Ok(answered));
            let from = Arc::clone(&from);
            tokio::spawn(async move {
                let made = tokio::select! {
                    made = from.answer(message, charge) => made,
                    () = answer.closed() => return,
                };
                // Nobody there: the outputs go back as they are dropped.
                let _ = answer.send(made);
            });
        }
    }

    async fn answer(&self, message: ModelInferRequest, charge: Option<Charge>) -> Answer {
        let id = message.id.clone();
        let made = async {
            let wanted = Wanted::read(message)?;
            let asked = wanted.asked.tenant.clone();
            let (service, caller) = (&self.service, &self.caller);
            let tenant = service.tenant(&self.metadata, caller.peer, asked)?;
            let client = service.client(caller, &tenant)?;
            answer(service, &client, wanted, charge).await
        };
        match made.await {
            Ok((head, tail)) => {
                let infer_response = Some(head);
                let answer = ModelStreamInferResponse {
                    infer_response,
                    ..ModelStreamInferResponse::default()
                };
                (answer, tail)
            }
            Err(fault) => (failed(id, &fault), Tail::default()),
        }
    }
}

/// The answer that says what went wrong, and of which request.
fn failed(id: String, fault: &Fault) -> ModelStreamInferResponse {
    let of = ModelInferResponse {
        id,
        ..ModelInferResponse::default()
    };
    ModelStreamInferResponse {
        error_message: fault.to_string(),
        infer_response: Some(of),
    }
}

impl Stream for Answers {
    type Item = Result<ModelStreamInferResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(first) = self.first.as_mut() {
                let answered = ready!(Pin::new(first).poll(cx));
                self.first = None;
                let (answer, tail) = answered.unwrap_or_else(|_| {
                    let lost = Fault::of(Reason::Defect).message("the compute was dropped");
                    (failed(String::new(), &lost), Tail::default())
                });
                self.tails.push(tail);
                return Poll::Ready(Some(Ok(answer)));
            }
            match ready!(self.pending.poll_recv(cx)) {
                Some(Ok(next)) => self.first = Some(next),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
    }
}
