//! What has happened, sent to an operator as it is known, and then as it happens.

use std::sync::Arc;
use std::time::Duration;

use nn_proto::v1;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;

use crate::context::Context;
use crate::events::Event;

/// Events that are sent ahead of what the client has read.
pub(super) const AHEAD_MAX: usize = 64;

/// How long a client may take nothing.
const TAKEN_MAX: Duration = Duration::from_secs(10);

/// Sends until all is sent, or for as long as the client follows and the daemon lives.
pub(super) async fn send(
    context: Arc<Context>,
    request: v1::EventsRequest,
    out: mpsc::Sender<Result<v1::Event, Status>>,
) {
    let (known, mut news) = context.policy.events.after(request.after);
    for event in known {
        if !sent(&out, told(&event)).await {
            return;
        }
    }
    if !request.follow {
        return;
    }
    let mut draining = context.draining.clone();
    loop {
        let event = tokio::select! {
            event = news.recv() => event,
            () = out.closed() => return,
            // What was told before that is still sent.
            _ = draining.wait_for(|draining| *draining) => match news.try_recv() {
                Ok(event) => Ok(event),
                Err(_) => return,
            },
        };
        let event = match event {
            Ok(event) => told(&event),
            Err(RecvError::Lagged(events)) => missed(events),
            Err(RecvError::Closed) => return,
        };
        if !sent(&out, event).await {
            return;
        }
    }
}

/// Whether the client took it; one that takes nothing for so long has gone.
async fn sent(out: &mpsc::Sender<Result<v1::Event, Status>>, event: v1::Event) -> bool {
    let sent = timeout(TAKEN_MAX, out.send(Ok(event))).await;
    sent.is_ok_and(|sent| sent.is_ok())
}

/// The client was too slow for some.
fn missed(events: u64) -> v1::Event {
    v1::Event {
        kind: "lost".to_owned(),
        detail: format!("{events} events went by; ask for those after the last number"),
        ..v1::Event::default()
    }
}

fn told(event: &Event) -> v1::Event {
    v1::Event {
        number: event.number,
        unix_us: event.unix_us,
        kind: event.kind.name().to_owned(),
        model: event.model.clone(),
        tenant: event.tenant.clone(),
        uid: event.uid,
        pid: event.pid,
        detail: event.detail.clone(),
    }
}
