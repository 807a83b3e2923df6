//! The loop: take what has come, run the next job, answer. Ends when the socket closes.
//!
//! ```text
//!            nothing to do                 frames that are there
//!  wait ──────────────────▶ take a frame ──────────────────────▶ next job ──▶ run ──▶ Done
//!   ▲                                                               │          │
//!   │                                      late or interrupted ◀────┘          ▼
//!   └───────────────────────── Done(timeout) ◀──┘          no room: Grow, take frames until
//!                                                          Attach (go on) or Refuse (busy)
//! ```
//!
//! A run that is interrupted ends as one that fails: `interrupts.rs`.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use nn_backend::{LoadedModel, OutputSink, SinkError};
use nn_shm::{AllocError, Place};
use nn_tensor::{ArenaId, DType, Descriptor, SegmentId, Shape, Signature, SlotRef, TENSORS_MAX};
use nn_worker_base::answer::{cancelled, late};
use nn_worker_base::arenas::{Arenas, Grant, Reserved};
use nn_worker_base::channel::Channel;
use nn_worker_base::{Exit, log};
use nn_worker_wire::{Failure, FromWorker, Role, Run, Tensor, ToWorker};

use crate::answer::{self, Refusal, Written};
use crate::interrupts::Interrupts;
use crate::io::{Inputs, Source};
use crate::queue::{Job, Queue};

/// The most slots one Release may name.
const RELEASE_MAX: usize = 1024;

/// Everything of a worker but its model.
#[derive(Debug)]
pub(crate) struct Desk {
    channel: Channel,
    arenas: Arenas,
    queue: Queue,
    inputs: Inputs,
    interrupts: Arc<Interrupts>,
    /// Whether clients of more than one uid have used this worker.
    shared: bool,
    jobs: u64,
}

/// The model, and its signature where it can be read while the model runs.
struct Loaded {
    signature: Signature,
    model: Box<dyn LoadedModel>,
}

/// What a frame meant for a job that waits for memory.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    /// Nothing.
    Other,
    /// A segment came.
    Attached { arena: ArenaId, bytes: u64 },
    /// None is coming.
    Refused { arena: ArenaId, too_large: bool },
}

/// What came of asking for memory.
#[derive(Debug, PartialEq, Eq)]
enum Growth {
    Room,
    /// None now.
    NoRoom,
    /// None ever, for so much.
    TooLarge,
}

/// The outputs of the job at hand.
struct Outputs<'a> {
    desk: &'a mut Desk,
    arena: ArenaId,
    reserved: Vec<Option<Written>>,
    /// Set when the worker is to end instead of the run.
    exit: Option<Exit>,
}

/// Serves until the end.
pub(crate) fn serve(mut desk: Desk, model: Box<dyn LoadedModel>) -> Exit {
    let mut model = Loaded {
        signature: model.signature().clone(),
        model,
    };
    let exit = loop {
        if let Err(exit) = desk.step(&mut model) {
            break exit;
        }
    };
    let (jobs, copies) = (desk.jobs, desk.inputs.copies);
    log::last(&format!(
        "{jobs} jobs; {} bytes of inputs copied, {} of outputs",
        copies.in_private_bytes, copies.out_copied_bytes
    ));
    // Nothing is taken down but by the end of the process: threads that end one by one make calls of their own.
    std::mem::forget(model);
    exit
}

// === impl Desk ===

impl Desk {
    pub(crate) fn new(channel: Channel, inputs: Inputs, interrupts: Arc<Interrupts>) -> Self {
        Self {
            channel,
            arenas: Arenas::default(),
            queue: Queue::default(),
            inputs,
            interrupts,
            shared: false,
            jobs: 0,
        }
    }

    /// Waits if there is nothing to do, takes all frames that are there, then runs one job.
    fn step(&mut self, model: &mut Loaded) -> Result<(), Exit> {
        if self.queue.is_empty() {
            let (frame, fds) = self.channel.recv()?;
            self.take(frame, fds)?;
        }
        // The queue's bound ends this loop, if the daemon does not.
        while let Some((frame, fds)) = self.channel.try_recv()? {
            self.take(frame, fds)?;
        }
        // Nobody waits for those any more: they need not wait for those before them.
        for job in self.interrupts.early() {
            if self.queue.remove(job).is_some() {
                self.done(job, Err(cancelled()), Instant::now())?;
            }
        }
        match self.queue.pop() {
            Some(job) => self.work(job, model),
            None => Ok(()),
        }
    }

    fn take(&mut self, frame: ToWorker, mut fds: Vec<OwnedFd>) -> Result<Taken, Exit> {
        let fd = fds.pop();
        let brings_one = matches!(frame, ToWorker::Attach { .. });
        if !fds.is_empty() || fd.is_some() != brings_one {
            return Err(Exit::protocol(
                "a frame with the wrong number of descriptors",
            ));
        }
        match (frame, fd) {
            (ToWorker::Run(run), _) => {
                self.queue
                    .push(run, Instant::now())
                    .map_err(Exit::protocol)?;
            }
            (ToWorker::Release { slots }, _) if slots.len() <= RELEASE_MAX => {
                let slots = slots.into_iter().map(SlotRef::from);
                let unknown = slots.filter(|&slot| !self.arenas.free(slot)).count();
                if unknown > 0 {
                    log::line(&format!("{unknown} released slots were not in use"));
                }
            }
            (
                ToWorker::Attach {
                    arena,
                    segment,
                    bytes,
                    role,
                    shared,
                },
                Some(fd),
            ) => {
                self.shared |= shared;
                return self.attach(ArenaId(arena), SegmentId(segment), bytes, role, fd);
            }
            (ToWorker::Detach { arena }, _) => self.arenas.detach(ArenaId(arena)),
            (ToWorker::Unmap { arena, segment }, _) => {
                self.arenas.unmap(ArenaId(arena), SegmentId(segment));
            }
            (ToWorker::Trim, _) => self.trim()?,
            (ToWorker::Probe, _) => self.channel.send(&FromWorker::Alive)?,
            (ToWorker::Refuse { arena, too_large }, _) => {
                let arena = ArenaId(arena);
                return Ok(Taken::Refused { arena, too_large });
            }
            (ToWorker::Bye, _) => return Err(Exit::Clean),
            (
                ToWorker::Boot { .. }
                | ToWorker::Model { .. }
                | ToWorker::Prepare { .. }
                | ToWorker::Convert { .. }
                | ToWorker::Canary { .. }
                | ToWorker::Attach { .. }
                | ToWorker::Release { .. },
                _,
            ) => return Err(Exit::protocol("a frame out of place")),
        }
        Ok(Taken::Other)
    }

    fn trim(&mut self) -> Result<(), Exit> {
        let trimmed = self.arenas.trim();
        if trimmed.is_empty() {
            return Ok(());
        }
        let segments = trimmed
            .into_iter()
            .map(|(arena, segment)| (arena.0, segment.0));
        self.channel.send(&FromWorker::Trimmed {
            segments: segments.collect(),
        })
    }

    fn attach(
        &mut self,
        arena: ArenaId,
        segment: SegmentId,
        bytes: u64,
        role: Role,
        fd: OwnedFd,
    ) -> Result<Taken, Exit> {
        let grant = Grant {
            arena,
            segment,
            bytes,
            role,
            fd,
        };
        self.arenas.attach(grant).map_err(Exit::protocol)?;
        self.channel.send(&FromWorker::Attached {
            arena: arena.0,
            segment: segment.0,
        })?;
        Ok(match role {
            Role::Input => Taken::Other,
            Role::Output => Taken::Attached { arena, bytes },
        })
    }

    fn work(&mut self, job: Job, model: &mut Loaded) -> Result<(), Exit> {
        let begun = Instant::now();
        let id = job.run.job;
        if job.is_late(begun) {
            return self.done(id, Err(late()), begun);
        }
        if !self.interrupts.begin(id) {
            return self.done(id, Err(cancelled()), begun);
        }
        let result = self.compute(job.run, model)?;
        self.interrupts.end();
        self.jobs = self.jobs.saturating_add(1);
        self.done(id, result.map_err(|failure| *failure), begun)
    }

    fn done(
        &self,
        job: u64,
        result: Result<Vec<Tensor>, Failure>,
        begun: Instant,
    ) -> Result<(), Exit> {
        let run_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.channel.send(&FromWorker::Done {
            job,
            result,
            run_us,
        })
    }

    fn compute(
        &mut self,
        run: Run,
        model: &mut Loaded,
    ) -> Result<Result<Vec<Tensor>, Refusal>, Exit> {
        let arena = ArenaId(run.out_arena);
        let (descriptors, sources) = self.inputs(run.inputs)?;
        let inputs = match answer::order(&model.signature, &descriptors, &sources) {
            Ok(inputs) => inputs,
            Err(failure) => return Ok(Err(failure)),
        };
        let mut outputs = Outputs {
            desk: self,
            arena,
            reserved: Vec::new(),
            exit: None,
        };
        let ran = model.model.run(&inputs, &mut outputs);
        drop(inputs);
        if let Some(exit) = outputs.exit {
            return Err(exit);
        }
        let reserved = outputs.reserved;
        self.inputs.give_back(sources);
        let result = ran.map_err(answer::refusal).and_then(|ran| {
            let copied = &mut self.inputs.copies.out_copied_bytes;
            *copied = copied.saturating_add(ran.out_copied_bytes);
            answer::tensors(&model.signature, &reserved)
        });
        if result.is_err() {
            for written in reserved.into_iter().flatten() {
                self.arenas.free(written.slot);
            }
        }
        Ok(result)
    }

    /// Checks every slot: what does not lie where it should is the daemon's doing.
    fn inputs(&mut self, tensors: Vec<Tensor>) -> Result<(Vec<Descriptor>, Vec<Source>), Exit> {
        if tensors.len() > TENSORS_MAX {
            return Err(Exit::protocol("too many inputs"));
        }
        let mut descriptors = Vec::with_capacity(tensors.len());
        let mut sources = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let descriptor = Descriptor::try_from(tensor).map_err(Exit::protocol)?;
            let place = self.arenas.input(descriptor.slot());
            let place = place.map_err(Exit::protocol)?;
            let source = self.inputs.take(place, descriptor.dtype(), self.shared);
            sources.push(source.map_err(Exit::protocol)?);
            descriptors.push(descriptor);
        }
        Ok((descriptors, sources))
    }

    /// Asks for a segment and waits for it, or for the word that there is none.
    fn grow(&mut self, arena: ArenaId, bytes_min: u64) -> Result<Growth, Exit> {
        self.channel.send(&FromWorker::Grow {
            arena: arena.0,
            bytes_min,
        })?;
        loop {
            let (frame, fds) = self.channel.recv()?;
            match self.take(frame, fds)? {
                // A smaller one is not the answer, but one that was on its way already.
                Taken::Attached { arena: of, bytes } if of == arena && bytes >= bytes_min => {
                    return Ok(Growth::Room);
                }
                Taken::Refused {
                    arena: of,
                    too_large,
                } if of == arena => {
                    return Ok(if too_large {
                        Growth::TooLarge
                    } else {
                        Growth::NoRoom
                    });
                }
                Taken::Attached { .. } | Taken::Refused { .. } | Taken::Other => {}
            }
        }
    }
}

// === impl Outputs ===

impl Outputs<'_> {
    fn alloc(
        &mut self,
        bytes: u64,
        too_large: impl FnOnce() -> SinkError,
    ) -> Result<Reserved, SinkError> {
        let needed = match self.desk.arenas.alloc(self.arena, bytes) {
            Ok(reserved) => return Ok(reserved),
            Err(AllocError::Full { bytes }) => bytes,
            Err(AllocError::NotInUse { .. }) => return Err(SinkError::Full { bytes }),
        };
        match self.desk.grow(self.arena, needed) {
            Ok(Growth::Room) => {
                let again = self.desk.arenas.alloc(self.arena, bytes);
                again.map_err(|_| SinkError::Full { bytes })
            }
            Ok(Growth::NoRoom) => Err(SinkError::Full { bytes }),
            Ok(Growth::TooLarge) => Err(too_large()),
            Err(exit) => {
                self.exit = Some(exit);
                Err(SinkError::GivenUp)
            }
        }
    }
}

impl OutputSink for Outputs<'_> {
    fn reserve(&mut self, index: usize, dtype: DType, shape: Shape) -> Result<Place, SinkError> {
        let too_large = || SinkError::TooLarge { dtype, shape };
        let bytes = shape.byte_len(dtype).map_err(|_| too_large())?;
        if index >= TENSORS_MAX {
            return Err(too_large());
        }
        let Reserved { slot, place } = self.alloc(bytes, too_large)?;
        if self.reserved.len() <= index {
            self.reserved.resize(index.saturating_add(1), None);
        }
        let written = Written { slot, dtype, shape };
        if let Some(output) = self.reserved.get_mut(index)
            && let Some(before) = output.replace(written)
        {
            self.desk.arenas.free(before.slot);
        }
        Ok(place)
    }
}
