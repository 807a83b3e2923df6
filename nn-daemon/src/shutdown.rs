//! The end, in order: no new sessions, computes, models → computes in flight → workers → sockets → spawner. Every step
//! has a deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::context::Context;

/// How long workers may take to leave once nothing is in flight.
const WORKERS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the server may take to close its connections.
const SERVER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long work on files may take once all else has ended.
pub(crate) const FILES_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the spawner may take to end.
pub(crate) const SPAWNER_TIMEOUT: Duration = Duration::from_secs(2);

/// Waits for the request to end; says which it was.
pub(crate) async fn requested(end_with_stdin: bool) -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stdin = async {
        if end_with_stdin {
            stdin_ended().await
        } else {
            std::future::pending().await
        }
    };
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        ended = stdin => {
            ended?;
            "the end of standard input"
        }
    })
}

/// On a thread of its own, which ends with the process at the latest: a read of stdin cannot be called off.
async fn stdin_ended() -> std::io::Result<()> {
    let (end, ended) = oneshot::channel();
    let reading = move || {
        let read = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        if let Err(error) = read {
            tracing::debug!(%error, "standard input cannot be read");
        }
        let _ = end.send(());
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(reading)?;
    let _ = ended.await;
    Ok(())
}

/// Lets what is under way end, then ends every session and every worker.
pub(crate) async fn drain(
    context: &Arc<Context>,
    mut server: JoinHandle<Result<(), tonic::transport::Error>>,
    stop_server: &watch::Sender<bool>,
    workers_lost: bool,
) {
    let end = Instant::now() + context.config.limits.drain_max();
    let in_flight = || {
        context
            .sessions
            .all()
            .iter()
            .map(|session| session.in_flight())
            .sum::<usize>()
    };
    while !workers_lost && in_flight() > 0 && Instant::now() < end {
        sleep(Duration::from_millis(5)).await;
    }
    if in_flight() > 0 {
        tracing::warn!(in_flight = in_flight(), "computes were still in flight");
    }
    let unloaded = async { tokio::join!(context.registry.shut_down(), context.guests.shut_down()) };
    if !workers_lost && timeout(WORKERS_TIMEOUT, unloaded).await.is_err() {
        tracing::warn!("workers did not leave in time");
    }
    for session in context.sessions.all() {
        context.close_session(session.id);
    }
    // Until here it has answered that the daemon is ending.
    stop_server.send_replace(true);
    if timeout_at(Instant::now() + SERVER_TIMEOUT, &mut server)
        .await
        .is_err()
    {
        server.abort();
    }
}
