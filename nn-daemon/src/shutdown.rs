//! The end, in order: nobody new is let in, and whoever is in is told → computes in flight end → clients close their
//! sessions → workers → connections → spawner. Every step has a deadline.
//!
//! Whatever comes meanwhile is refused as [`leaving`], by which a client knows that nothing of it has begun. A client
//! closes its session when it has its last answer, so a compute that was on its way when the client was told is either
//! begun or refused, and never lost with its connection (ADR 14).

mod wish;

use std::sync::Arc;
use std::time::Duration;

use nn_tensor::{Fault, Reason};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::context::Context;
pub(crate) use wish::{Drained, Wish};

/// How long computes may take to be answered once they have been cut off: a worker is given a grace and then killed.
const CUT_OFF_TIMEOUT: Duration = Duration::from_secs(2);

/// How long clients may take to close their sessions once nothing is in flight.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the drain looks.
const TICK: Duration = Duration::from_millis(5);

/// How long workers may take to leave once nothing is in flight.
const WORKERS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the server may take to close its connections.
const SERVER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long work on files may take once all else has ended.
pub(crate) const FILES_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the spawner may take to end.
pub(crate) const SPAWNER_TIMEOUT: Duration = Duration::from_secs(2);

/// The signals that ask the daemon to end.
#[derive(Debug)]
pub(crate) struct Requests {
    terminate: Signal,
    interrupt: Signal,
}

impl Requests {
    /// From here on they are no longer the process's end.
    pub(crate) fn hear() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the request to end; says which it was.
    pub(crate) async fn requested(mut self, end_with_stdin: bool) -> std::io::Result<&'static str> {
        let stdin = async {
            if end_with_stdin {
                stdin_ended().await
            } else {
                std::future::pending().await
            }
        };
        Ok(tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            ended = stdin => {
                ended?;
                "the end of standard input"
            }
        })
    }
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

/// The answer to whatever reaches a daemon that is ending: nothing of it has begun, and the next daemon may be asked.
pub(crate) fn leaving() -> Fault {
    Fault::of(Reason::DaemonLeaving)
}

/// The answer to a compute that was running when the time for it was over.
pub(crate) fn cut_off() -> Fault {
    Fault::of(Reason::CutOff).message("nn-daemon ended before the compute was done")
}

/// Returns once the daemon has begun to end.
pub(crate) async fn begun(context: &Context) {
    // A sender that is gone means the same.
    let _ = context
        .draining
        .clone()
        .wait_for(|draining| *draining)
        .await;
}

/// Runs what may as well be asked of the next daemon, for as long as this one stays.
pub(crate) async fn unless_leaving<T>(
    context: &Context,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::select! {
        biased;
        () = begun(context) => Err(leaving()),
        done = work => done,
    }
}

/// Lets what is under way end, then ends every session and every worker.
pub(crate) async fn drain(
    context: &Arc<Context>,
    mut server: JoinHandle<Result<(), tonic::transport::Error>>,
    stop_server: &watch::Sender<bool>,
    workers_lost: bool,
) {
    for session in context.sessions.all() {
        session.say_leaving();
    }
    if workers_lost {
        // Whatever a worker had, nobody answers any more.
        let cut_off = in_flight(context);
        context.end.tell(Drained {
            in_flight: cut_off,
            cut_off,
        });
    } else {
        finish(context).await;
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

fn in_flight(context: &Context) -> usize {
    let sessions = context.sessions.all();
    sessions.iter().map(|session| session.in_flight()).sum()
}

/// Waits for computes in flight, cuts off what is left of them, and lets clients close their sessions.
async fn finish(context: &Context) {
    let in_flight = || in_flight(context);
    let mut drained = Drained {
        in_flight: in_flight(),
        cut_off: 0,
    };
    if !until(context.config.limits.drain_max(), || in_flight() == 0).await {
        drained.cut_off = in_flight();
        tracing::warn!(in_flight = drained.cut_off, "computes are cut off");
        for session in context.sessions.all() {
            session.cut_off();
        }
        if !until(CUT_OFF_TIMEOUT, || in_flight() == 0).await {
            tracing::warn!(in_flight = in_flight(), "computes stay unanswered");
        }
    }
    context.end.tell(drained);
    let closed = || !context.sessions.all().iter().any(|s| s.has_stream());
    if !until(GOODBYE_TIMEOUT, closed).await {
        tracing::debug!("clients that were told have not closed their sessions");
    }
}

/// Waits for a condition, so long at most; says whether it holds.
async fn until(limit: Duration, holds: impl Fn() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !holds() {
        if Instant::now() >= end {
            return false;
        }
        sleep(TICK).await;
    }
    true
}
