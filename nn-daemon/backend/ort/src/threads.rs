//! The threads of ONNX Runtime's pool, made here instead of there: each has a name, and all of them
//! have started before ONNX Runtime asks for the first.
//!
//! A worker shuts most system calls off as soon as its framework is open. A thread that starts needs
//! some of those (its name, its signal stack, its lists of futexes). All of that is over when the environment
//! is made; what is left to a thread then is to wait for work.
//!
//! They are made beforehand because ONNX Runtime 1.28 hangs for ever when a thread after its first
//! cannot be made: it joins those that it has without telling them to end.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use nn_backend::Cause;
use ort::environment::ThreadManager;

/// How long a thread may take from its creation to its first step.
const START_MAX: Duration = Duration::from_secs(10);

/// What a thread may use as its stack. It counts as the worker's data, used or not.
const STACK_BYTES: usize = 2 << 20;

/// Threads that ONNX Runtime has not asked for yet.
static IDLE: Mutex<VecDeque<Idle>> = Mutex::new(VecDeque::new());

/// Gives ONNX Runtime the threads that [`start`] has made.
///
/// Without a field on purpose: `ort` turns the pointer to the shared value into an exclusive
/// reference, which is sound only where there are no bytes to refer to. Hence the static too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolThreads;

/// A thread that runs, and waits for what it is to do.
#[derive(Debug)]
struct Idle {
    thread: JoinHandle<()>,
    work: SyncSender<Work>,
}

type Work = Box<dyn FnOnce() + Send>;

/// A thread that is not there.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("a thread of the pool cannot be made")]
    Make(#[source] io::Error),
    #[error("a thread of the pool did not start within {} s", START_MAX.as_secs())]
    Late,
    #[error("a thread of the pool ended before it had work")]
    Ended,
}

// === impl PoolThreads ===

impl ThreadManager for PoolThreads {
    type Thread = JoinHandle<()>;

    fn create(&self, work: impl FnOnce() + Send + 'static) -> ort::Result<JoinHandle<()>> {
        let idle = idle()
            .pop_front()
            .ok_or_else(|| ort::Error::new("more threads are asked for than were made"))?;
        // The thread takes nothing else, so there is room, and it waits as long as this end is there.
        let sent = idle.work.try_send(Box::new(work));
        sent.map_err(|_| ort::Error::new("a thread of the pool has ended"))?;
        Ok(idle.thread)
    }

    /// Waits without a bound of its own: ONNX Runtime has told the thread to end, and frees what the
    /// thread works on as soon as this returns.
    fn join(thread: JoinHandle<()>) -> ort::Result<()> {
        thread
            .join()
            .map_err(|_| ort::Error::new("a thread of the pool panicked"))
    }
}

/// Makes `ort-1` to `ort-COUNT`. If it fails, none of them stays.
pub(crate) fn start(count: usize) -> Result<PoolThreads, Cause> {
    let made: Result<Vec<Idle>, StartError> = (1..=count).map(wait_for_work).collect();
    idle().extend(made?);
    Ok(PoolThreads)
}

fn idle() -> MutexGuard<'static, VecDeque<Idle>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that ends when it has done its work, or when nobody can give it any.
fn wait_for_work(number: usize) -> Result<Idle, StartError> {
    let (work, works) = mpsc::sync_channel::<Work>(1);
    let thread = begin(format!("ort-{number}"), move || {
        if let Ok(work) = works.recv() {
            work();
        }
    })?;
    Ok(Idle { thread, work })
}

/// A thread that has begun when this returns.
fn begin(name: String, rest: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let (begun, begins) = mpsc::sync_channel(1);
    let thread = Builder::new()
        .name(name)
        .stack_size(STACK_BYTES)
        .spawn(move || {
            // The first allocation of a thread gives it a part of the heap.
            drop(black_box(Box::new(0_u64)));
            if begun.send(()).is_ok() {
                rest();
            }
        })
        .map_err(StartError::Make)?;
    match begins.recv_timeout(START_MAX) {
        Ok(()) => Ok(thread),
        Err(RecvTimeoutError::Timeout) => Err(StartError::Late),
        Err(RecvTimeoutError::Disconnected) => Err(StartError::Ended),
    }
}
