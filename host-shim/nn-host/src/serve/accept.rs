//! The loop that takes connections, and lets them end: it never waits for one of them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nn_service::Notifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::serve::Wish;
use crate::serve::connection;
use crate::serve::handler::Handler;
use crate::telemetry::Limiter;

/// After an error that will not have gone at once: no descriptors left, say.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// For a connection beyond the bound. Nothing of its request is read.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 44\r\n\r\n\
    busy: too many connections at a time; later\n";

static ERRORS: Limiter = Limiter::new(1);
static FULLS: Limiter = Limiter::new(1);

/// Asks the loop whether it turns.
pub(super) type Beat = oneshot::Sender<()>;

/// Takes connections.
pub(super) struct Acceptor {
    handler: Arc<Handler>,
    notifier: Notifier,
    connections: JoinSet<()>,
}

/// What the loop has to do next.
enum Event {
    Accepted(io::Result<TcpStream>),
    Beat(Beat),
    Ended,
    Wished(Wish),
    Overdue,
}

// === impl Acceptor ===

impl Acceptor {
    pub(super) fn new(handler: Arc<Handler>, notifier: Notifier) -> Self {
        Self {
            handler,
            notifier,
            connections: JoinSet::new(),
        }
    }

    /// Takes connections until it is wished otherwise, then lets those that are open finish, in time.
    pub(super) async fn run(
        mut self,
        listener: TcpListener,
        mut beats: mpsc::Receiver<Beat>,
        wishes: watch::Receiver<Wish>,
    ) {
        let mut listener = Some(listener);
        let mut until = None;
        let mut changes = wishes.clone();
        while listener.is_some() || !self.connections.is_empty() {
            match self
                .next(listener.as_ref(), &mut beats, &mut changes, until)
                .await
            {
                Event::Accepted(Ok(stream)) => self.take(stream, wishes.clone()),
                Event::Accepted(Err(error)) => failed(&error).await,
                // Who asks may have stopped waiting.
                Event::Beat(beat) => drop(beat.send(())),
                Event::Ended => {}
                Event::Wished(Wish::Serve) => {}
                Event::Wished(Wish::Drain) => {
                    self.notifier.stopping("finishing requests in flight");
                    listener = None;
                    until = Some(Instant::now() + self.handler.site().limits.drain_max);
                    let connections = self.connections.len();
                    tracing::info!(connections, "asked to end; requests in flight may finish");
                }
                Event::Wished(Wish::End) | Event::Overdue => break,
            }
        }
        let cut = self.connections.len();
        self.connections.shutdown().await;
        let until = until.unwrap_or_else(Instant::now);
        // A guest may go on after its answer, so that there is something to wait for even without connections.
        let idle = tokio::select! {
            biased;
            idle = timeout_at(until, self.handler.idle()) => idle.is_ok(),
            // An error says that nobody is left to wish, which is the end as well.
            _ = changes.wait_for(|wish| *wish == Wish::End) => false,
        };
        if cut > 0 || !idle {
            tracing::warn!(connections = cut, "not all requests finished in time");
        }
        tracing::info!("ended");
    }

    async fn next(
        &mut self,
        listener: Option<&TcpListener>,
        beats: &mut mpsc::Receiver<Beat>,
        wishes: &mut watch::Receiver<Wish>,
        until: Option<Instant>,
    ) -> Event {
        let accepted = async {
            match listener {
                Some(listener) => listener.accept().await.map(|(stream, _)| stream),
                None => std::future::pending().await,
            }
        };
        let overdue = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = wishes.changed() => Event::Wished(match changed {
                Ok(()) => *wishes.borrow_and_update(),
                Err(_) => Wish::End,
            }),
            () = overdue => Event::Overdue,
            Some(beat) = beats.recv() => Event::Beat(beat),
            Some(_) = self.connections.join_next() => Event::Ended,
            accepted = accepted => Event::Accepted(accepted),
        }
    }

    fn take(&mut self, stream: TcpStream, wishes: watch::Receiver<Wish>) {
        let max = self.handler.site().limits.connections_max;
        if self.connections.len() >= max {
            if FULLS.pass().is_some() {
                tracing::warn!(max, "a connection beyond the bound is refused");
            }
            // The socket's buffer is empty, so all of it fits, or the client is gone.
            let _ = stream.try_write(FULL);
            return;
        }
        // Only small answers gain nothing by it.
        let _ = stream.set_nodelay(true);
        let handler = Arc::clone(&self.handler);
        let serving = connection::serve(stream, handler, wishes);
        self.connections.spawn(serving);
    }
}

async fn failed(error: &io::Error) {
    if ERRORS.pass().is_some() {
        tracing::warn!(%error, "cannot accept a connection");
    }
    sleep(ERROR_PAUSE).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_for_one_too_many_is_as_long_as_it_says() {
        let text = str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
    }
}
