//! ModelInfer: a message in, a compute, and a message out whose tensors follow it from where they lie.

use std::sync::Arc;
use std::time::Duration;

use nn_proto::kserve::inference::{ModelInferRequest, ModelInferResponse};
use nn_tensor::{Fault, Reason};
use prost::Message;
use tokio::time::{Instant, sleep_until};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::room::{Charge, Charges};
use super::weave::{Tail, Tails};
use super::{Service, caller, refused};
use crate::kserve::{Client, Computed, Wanted, compute};

/// How a client says how long it waits, in HTTP/2's own words.
const TIMEOUT: &str = "grpc-timeout";

/// So much before that it is answered, or a tenth of the time: past it nobody listens.
const MARGIN_MAX: Duration = Duration::from_millis(20);

/// One call of ModelInfer.
pub(super) async fn unary(
    service: &Service,
    request: Request<ModelInferRequest>,
) -> Result<Response<ModelInferResponse>, Status> {
    let end = timeout(request.metadata()).map(|timeout| Instant::now() + timeout);
    let computed = async {
        let caller = caller(&request)?;
        let charge = request.extensions().get::<Charges>().and_then(Charges::pop);
        let metadata = request.metadata().clone();
        let message = request.into_inner();
        let answered = async {
            let wanted = Wanted::read(message)?;
            let asked = wanted.asked.tenant.clone();
            let tenant = service.tenant(&metadata, caller.peer, asked)?;
            let client = service.client(&caller, &tenant)?;
            answer(service, &client, wanted, charge).await
        };
        answered.await.map_err(|fault: Fault| refused(&fault))
    };
    let (head, tail) = tokio::select! {
        computed = computed => computed?,
        late = late(end) => return Err(refused(&late)),
    };
    let mut answer = Response::new(head);
    answer.extensions_mut().insert(Tails::of(tail));
    Ok(answer)
}

/// Computes what is wanted; gives the answer's message, and the tensors that follow it.
pub(super) async fn answer(
    service: &Service,
    client: &Arc<Client>,
    wanted: Wanted,
    charge: Option<Charge>,
) -> Result<(ModelInferResponse, Tail), Fault> {
    let (head, asked, outputs): Computed =
        compute(&service.context, client, wanted, charge).await?;
    let tail = Tail::new(outputs, &asked);
    let max = service.context.config.limits.kserve_message_bytes_max;
    let head_bytes = u64::try_from(head.encoded_len()).unwrap_or(u64::MAX);
    let bytes = head_bytes.saturating_add(tail.left());
    if bytes > max {
        return Err(Fault::of(Reason::MessageTooLarge)
            .message("the answer is too large for a message")
            .expected(format!("at most {max} bytes"))
            .got(format!("{bytes} bytes"))
            .hint("ask for fewer outputs, or have limits.kserve_message_bytes_max raised"));
    }
    Ok((head, tail))
}

/// Returns when a client is about to wait no longer; never where it says nothing of it.
async fn late(end: Option<Instant>) -> Fault {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
    Fault::of(Reason::DeadlineUnanswered).expected("an answer within the call's own deadline")
}

/// How long an answer may take so that its client still listens; `None` where it says nothing that can be read.
fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    let said = metadata.get(TIMEOUT)?.to_str().ok()?;
    let (number, unit) = said.split_at_checked(said.len().checked_sub(1)?)?;
    // Eight digits are the most that the protocol has.
    let number: u64 = number.parse().ok().filter(|_| number.len() <= 8)?;
    let timeout = match unit {
        "H" => Duration::from_secs(number.saturating_mul(3600)),
        "M" => Duration::from_secs(number.saturating_mul(60)),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    let longest = Duration::from_secs(24 * 60 * 60);
    let timeout = timeout.min(longest);
    Some(timeout.saturating_sub(MARGIN_MAX.min(timeout / 10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_answered_a_little_before_it() {
        let of = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert(TIMEOUT, text.parse().unwrap());
            timeout(&metadata)
        };
        assert_eq!(of("1S"), Some(Duration::from_millis(980)));
        assert_eq!(of("100m"), Some(Duration::from_millis(90)));
        assert_eq!(of("99999999H"), of("24H"));
        for wrong in ["", "S", "1", "-1S", "123456789S", "1x"] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }
}
