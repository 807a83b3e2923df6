//! What is mapped, which jobs there are, and the way back to the daemon. Jobs are tasks of one thread and share it; nothing
//! of it is borrowed over a wait.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use nn_shm::AllocError;
use nn_tensor::{ArenaId, Fault, Reason, SlotRef};
use nn_worker_base::Exit;
use nn_worker_base::arenas::{Arenas, Reserved};
use nn_worker_wire::{Failure, FromWorker, IN_FLIGHT_MAX, Tensor, ToWorker};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::engine::Engine;
use crate::packets::Packets;
use crate::room::{Growth, Rooms};

/// The most jobs that are here at a time, those that wait among them; the daemon's window is smaller.
const JOBS_MAX: usize = 2 * IN_FLIGHT_MAX as usize;

/// How often memory is asked for, for one output.
const GROWTHS_MAX: usize = 8;

/// What the relay takes of its budget besides messages: what has come over connections and was not looked at, above all.
const OWN_BYTES: u64 = 48 * 1024 * 1024;

/// Memory for messages is counted in pieces of so many bytes.
const PIECE_BYTES: u64 = 4096;

/// Everything of a relay.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) control: Packets<ToWorker>,
    pub(crate) engine: Engine,
    pub(crate) arenas: RefCell<Arenas>,
    pub(crate) rooms: RefCell<Rooms>,
    /// Calls that may be under way.
    pub(crate) calls: Semaphore,
    /// Memory for messages, in pieces, and how many there are of them: an engine that promises a long answer takes it from
    /// other calls, and not from the process.
    memory: Semaphore,
    pieces: u32,
    /// Those that are here, and what interrupts each.
    jobs: RefCell<HashMap<u64, Rc<Notify>>>,
    /// Interrupts that came before their jobs.
    early: RefCell<Vec<u64>>,
    latest: Cell<u64>,
    done: Cell<u64>,
    /// Why the relay is to end, where a job found that out.
    pub(crate) exit: RefCell<Option<Exit>>,
    pub(crate) ended: Notify,
}

/// A slot that is freed again unless it is kept.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    desk: &'a Desk,
    reserved: Reserved,
    is_kept: Cell<bool>,
}

// === impl Desk ===

impl Desk {
    /// `budget`: how many bytes the process may have.
    pub(crate) fn new(control: Packets<ToWorker>, engine: Engine, budget: u64) -> Self {
        let calls = usize::try_from(engine.remote().in_flight_max).unwrap_or(1);
        // One answer at a time may have to be converted, into as much again.
        let besides = OWN_BYTES.saturating_add(engine.remote().message_bytes_max);
        let pieces = pieces(budget.saturating_sub(besides)).max(1);
        Self {
            control,
            engine,
            arenas: RefCell::default(),
            rooms: RefCell::default(),
            calls: Semaphore::new(calls),
            memory: Semaphore::new(usize::try_from(pieces).unwrap_or(1)),
            pieces,
            jobs: RefCell::default(),
            early: RefCell::default(),
            latest: Cell::default(),
            done: Cell::default(),
            exit: RefCell::default(),
            ended: Notify::new(),
        }
    }

    /// Waits for memory for a request of so many bytes, and for the longest answer. Where all of it is less than that, for
    /// all of it.
    pub(crate) async fn memory(&self, request: u64) -> Option<SemaphorePermit<'_>> {
        let needed = request.saturating_add(self.engine.remote().message_bytes_max);
        let needed = pieces(needed).clamp(1, self.pieces);
        self.memory.acquire_many(needed).await.ok()
    }

    /// How many jobs have ended.
    pub(crate) fn done_count(&self) -> u64 {
        self.done.get()
    }

    /// A job comes; gives what interrupts it, and whether that has happened.
    pub(crate) fn begin(&self, job: u64) -> Result<(Rc<Notify>, bool), Exit> {
        let mut jobs = self.jobs.borrow_mut();
        if jobs.len() >= JOBS_MAX {
            return Err(Exit::Protocol(format!(
                "more than {JOBS_MAX} jobs at a time"
            )));
        }
        let interrupt = Rc::new(Notify::new());
        if jobs.insert(job, Rc::clone(&interrupt)).is_some() {
            return Err(Exit::Protocol(format!("job {job} twice")));
        }
        self.latest.set(self.latest.get().max(job));
        let latest = self.latest.get();
        let mut early = self.early.borrow_mut();
        let is_unwanted = early.contains(&job);
        early.retain(|&early| early > latest);
        Ok((interrupt, is_unwanted))
    }

    /// Nobody waits for this job any more. It may have ended, or be yet to come.
    pub(crate) fn interrupt(&self, job: u64) {
        if let Some(interrupt) = self.jobs.borrow().get(&job) {
            interrupt.notify_one();
            return;
        }
        let mut early = self.early.borrow_mut();
        if job > self.latest.get() && !early.contains(&job) {
            // What is pushed out here is a job that will never come.
            if early.len() >= JOBS_MAX {
                early.remove(0);
            }
            early.push(job);
        }
    }

    /// The answer to a job.
    pub(crate) fn answer(&self, job: u64, result: Result<Vec<Tensor>, Failure>, begun: Instant) {
        self.jobs.borrow_mut().remove(&job);
        self.done.set(self.done.get().saturating_add(1));
        let run_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.tell(&FromWorker::Done {
            job,
            result,
            run_us,
        });
    }

    /// Says something, from within a task; where that cannot be said, the relay ends.
    pub(crate) fn tell(&self, frame: &FromWorker) {
        if let Err(exit) = self.control.send(frame) {
            self.end(exit);
        }
    }

    /// The relay is to end.
    pub(crate) fn end(&self, exit: Exit) {
        self.exit.borrow_mut().get_or_insert(exit);
        self.ended.notify_one();
    }

    /// A slot for an output of so many bytes.
    pub(crate) async fn hold(&self, arena: ArenaId, bytes: u64) -> Result<Held<'_>, Failure> {
        for _ in 0..GROWTHS_MAX {
            let slot = self.arenas.borrow_mut().alloc(arena, bytes);
            let needed = match slot {
                Ok(reserved) => {
                    let is_kept = Cell::new(false);
                    return Ok(Held {
                        desk: self,
                        reserved,
                        is_kept,
                    });
                }
                Err(AllocError::Full { bytes }) => bytes,
                Err(AllocError::NotInUse { .. }) => return Err(full(bytes)),
            };
            let (is_first, told) = self.rooms.borrow_mut().wait(arena, needed);
            if is_first {
                self.tell(&FromWorker::Grow {
                    arena: arena.0,
                    bytes_min: needed,
                });
            }
            match told.await {
                // What was refused to others may have been more.
                Ok((Growth::NoRoom, asked)) if asked <= needed => return Err(full(bytes)),
                Ok((Growth::TooLarge, asked)) if asked <= needed => return Err(too_large(bytes)),
                Ok(_) => {}
                Err(_) => return Err(full(bytes)),
            }
        }
        Err(full(bytes))
    }
}

/// Rounded up, and no more than can be counted.
fn pieces(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX)
}

fn full(bytes: u64) -> Failure {
    let fault = Fault::of(Reason::OutputsFull).expected(format!("room for {bytes} bytes"));
    Failure::new(fault.got("none"), String::new())
}

fn too_large(bytes: u64) -> Failure {
    let fault = Fault::of(Reason::OutputTooLarge).got(format!("{bytes} bytes"));
    Failure::new(fault, String::new())
}

// === impl Held ===

impl Held<'_> {
    /// The slot.
    pub(crate) fn slot(&self) -> SlotRef {
        self.reserved.slot
    }

    /// Writes all of it.
    pub(crate) fn fill(&self, bytes: &[u8]) -> Result<(), nn_shm::ShmError> {
        self.reserved.place.slice().copy_from(bytes)
    }

    /// It goes to the client, who frees it.
    pub(crate) fn keep(&self) {
        self.is_kept.set(true);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.is_kept.get() {
            self.desk.arenas.borrow_mut().free(self.reserved.slot);
        }
    }
}
