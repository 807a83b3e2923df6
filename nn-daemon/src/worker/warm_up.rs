//! A worker that has loaded its model and serves nobody runs it a few times, as its `model.toml` says: what a framework
//! puts off until a first run (memory, kernels chosen by shape) is done before anybody waits for it. Inputs and outputs
//! lie in arenas of the daemon's own, which are gone afterwards; no session, no queue and no count knows of these runs.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nn_catalogue::Filled;
use nn_patience::timeout;
use nn_shm::{SLOT_ALIGN, Segment, ShmError};
use nn_tensor::{ArenaId, Descriptor, Fault, Reason, SegmentId, Signature, SlotRef, Tenant};
use nn_worker_wire as wire;

use super::ending::Ending;
use super::ends::Ends;
use super::start::{Booted, StartError, Startup, recv, send};
use super::{answer, micros, verify};
use crate::arena::{Arena, Budget, Budgets, Piece};
use crate::lifecycle::state::Event;
use crate::limits::Limits;
use crate::model::Model;
use crate::packet::PacketSocket;
use crate::remote::Endpoints;

/// How much of an input is written at a time; others have their turn in between.
const CHUNK_BYTES: usize = 256 * 1024;

/// A worker during its warm-up.
struct Bench<'a> {
    socket: &'a PacketSocket,
    exit: &'a mut Ending,
    worker: u32,
    signature: &'a Signature,
    limits: &'a Limits,
    ends: &'a Ends,
    /// Of a relay.
    endpoints: Option<&'a Endpoints>,
    budget: Arc<Budget>,
    out: Arena,
    /// Segments that it has been sent and not said to have mapped.
    attaching: HashSet<(ArenaId, SegmentId)>,
}

/// The runs of a model; an error where what its `model.toml` says does not fit it.
pub(super) fn fits(
    model: &Model,
    signature: &Signature,
    limits: &Limits,
) -> Result<Vec<Vec<Filled>>, StartError> {
    let runs = model.manifest.warm_ups(signature, limits.tensor_bytes_max);
    runs.map_err(|fault| StartError::WarmUp {
        fault: fault.clone().into(),
        error: StartError::Refused(fault).into(),
    })
}

/// Runs them all; says how many there were.
pub(super) async fn run(
    start: &Startup,
    model: &Model,
    booted: &mut Booted,
    signature: &Signature,
) -> Result<u64, StartError> {
    let runs = fits(model, signature, &start.limits)?;
    if runs.is_empty() {
        return Ok(0);
    }
    model.advance(Event::Warm, None);
    let limits = &start.limits;
    let budget = Budgets::new(limits.arena_bytes_per_tenant_max).of(&Tenant::default());
    let mut bench = Bench {
        socket: &booted.socket,
        exit: &mut booted.exit,
        worker: booted.id,
        signature,
        limits,
        ends: &start.ends,
        endpoints: model.is_remote().then_some(&*model.endpoints),
        out: Arena::new(Arc::clone(&budget)),
        budget,
        attaching: HashSet::new(),
    };
    let within = model.compute_max(limits);
    let mut job = 0_u64;
    for inputs in &runs {
        job = job.saturating_add(1);
        // It is not told to stop first: a worker whose warm-up fails is of no use.
        let ran = bench.run(job, inputs, within);
        let ran = timeout(within.saturating_add(limits.compute_grace()), ran).await;
        let ran = ran.unwrap_or(Err(StartError::Late));
        ran.map_err(|error| failed(error, (job, runs.len()), within))?;
    }
    bench.detach(bench.out.id()).await?;
    Ok(job)
}

/// What clients and operators are told of a run that failed.
fn failed(error: StartError, (job, of): (u64, usize), within: Duration) -> StartError {
    let which = format!("warm-up run {job} of {of}");
    let fault = match &error {
        StartError::Refused(fault) => Fault {
            message: format!("{which} failed: {}", fault.message),
            ..fault.clone()
        },
        StartError::Late => Fault::of(Reason::WarmUpLate)
            .message(format!("{which} took too long"))
            .expected(format!("at most {within:?}")),
        StartError::Died(cause) => Fault::of(Reason::LoadCrashed)
            .message(format!("the worker {cause} in {which}"))
            .hint("look at warm_up in its model.toml, or at the model"),
        StartError::Spawn(_)
        | StartError::Unread(_)
        | StartError::TooLong(_)
        | StartError::Attest(_)
        | StartError::Boot(_)
        | StartError::Protocol(_)
        | StartError::WarmUp { .. } => Fault::of(Reason::WarmUpFailed)
            .message(format!("{which} failed"))
            .hint("see the daemon's log"),
    };
    StartError::WarmUp {
        fault: fault.into(),
        error: error.into(),
    }
}

// === impl Bench ===

impl Bench<'_> {
    async fn run(
        &mut self,
        job: u64,
        inputs: &[Filled],
        within: Duration,
    ) -> Result<(), StartError> {
        if self.out.segments() == 0 {
            let first = self.out.grow(self.limits.segment_bytes);
            let first = first.map_err(StartError::Refused)?;
            self.attach(&first, wire::Role::Output).await?;
        }
        let arena = Arena::new(Arc::clone(&self.budget));
        let (piece, tensors) = place(&arena, inputs).await?;
        self.attach(&piece, wire::Role::Input).await?;
        let run = wire::ToWorker::Run(wire::Run {
            job,
            inputs: tensors.iter().map(Into::into).collect(),
            out_arena: self.out.id().0,
            timeout_us: micros(within),
        });
        send(self.socket, &run, None).await?;
        let outputs = self.done(job).await?;
        let slots = outputs.iter().map(|output| output.slot().into()).collect();
        send(self.socket, &wire::ToWorker::Release { slots }, None).await?;
        self.detach(arena.id()).await
    }

    /// Sees the run to its end.
    async fn done(&mut self, job: u64) -> Result<Vec<Descriptor>, StartError> {
        loop {
            match recv(self.socket, self.exit).await? {
                wire::FromWorker::Attached { arena, segment }
                    if self.attaching.remove(&(ArenaId(arena), SegmentId(segment))) => {}
                wire::FromWorker::Grow { arena, bytes_min } if arena == self.out.id().0 => {
                    self.grow(bytes_min).await?;
                }
                wire::FromWorker::Done {
                    job: of, result, ..
                } if of == job => {
                    let outputs = result.map_err(|failure| {
                        self.ends.count_failure(&failure);
                        StartError::Refused(answer::explain(failure, self.worker))
                    })?;
                    return verify::outputs(self.signature, outputs, &self.out)
                        .map_err(|fault| StartError::Protocol(fault.to_string()));
                }
                wire::FromWorker::Endpoints { states } if self.endpoints.is_some() => {
                    let heard = self
                        .endpoints
                        .map_or(Ok(()), |of| of.hear(self.worker, &states));
                    heard.map_err(|why| StartError::Protocol(why.to_owned()))?;
                }
                other => {
                    return Err(StartError::Protocol(format!("{other:?} in its warm-up")));
                }
            }
        }
    }

    /// More room for outputs, or the word that there is none.
    async fn grow(&mut self, bytes_min: u64) -> Result<(), StartError> {
        let too_large = bytes_min > self.limits.tensor_bytes_max;
        let piece = (!too_large)
            .then(|| self.out.grow(bytes_min.max(self.limits.segment_bytes)).ok())
            .flatten();
        match piece {
            Some(piece) => self.attach(&piece, wire::Role::Output).await,
            None => {
                let arena = self.out.id().0;
                let refuse = wire::ToWorker::Refuse { arena, too_large };
                send(self.socket, &refuse, None).await
            }
        }
    }

    async fn attach(&mut self, piece: &Piece, role: wire::Role) -> Result<(), StartError> {
        self.attaching.insert((piece.arena, piece.id));
        let frame = wire::ToWorker::Attach {
            arena: piece.arena.0,
            segment: piece.id.0,
            bytes: piece.segment.bytes(),
            role,
            shared: false,
        };
        send(self.socket, &frame, Some(piece.segment.as_fd())).await
    }

    async fn detach(&self, arena: ArenaId) -> Result<(), StartError> {
        let frame = wire::ToWorker::Detach { arena: arena.0 };
        send(self.socket, &frame, None).await
    }
}

/// The inputs of one run, one behind another in a sealed segment.
async fn place(
    arena: &Arena,
    inputs: &[Filled],
) -> Result<(Arc<Piece>, Vec<Descriptor>), StartError> {
    let mut end = 0_u64;
    let mut places = Vec::with_capacity(inputs.len());
    for input in inputs {
        places.push(end);
        let len = input.bytes.checked_next_multiple_of(SLOT_ALIGN);
        end = end.saturating_add(len.unwrap_or(u64::MAX));
    }
    let piece = arena.grow(end).map_err(StartError::Refused)?;
    let mut tensors = Vec::with_capacity(inputs.len());
    for (input, offset) in inputs.iter().zip(places) {
        let filled = fill(&piece.segment, offset, input).await;
        filled.map_err(|error| no_memory(&error))?;
        let slot = SlotRef {
            arena: piece.arena,
            segment: piece.id,
            offset,
            len: input.bytes,
            generation: 1,
        };
        let tensor = Descriptor::new(input.name.clone(), input.dtype, input.shape, slot);
        tensors.push(tensor.map_err(StartError::Refused)?);
    }
    piece.seal().map_err(|error| no_memory(&error))?;
    Ok((piece, tensors))
}

fn no_memory(error: &ShmError) -> StartError {
    let log_id = crate::telemetry::log_id();
    tracing::error!(log_id, "no memory for a warm-up: {error}");
    StartError::Refused(Fault::of(Reason::SharedMemory).log_id(log_id))
}

/// Writes an input's number everywhere; fresh memory is zero.
async fn fill(segment: &Segment, offset: u64, input: &Filled) -> Result<(), ShmError> {
    if input.element.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    let count = CHUNK_BYTES.checked_div(input.element.len()).unwrap_or(0);
    let chunk = input.element.repeat(count);
    let mut done = 0_u64;
    while done < input.bytes {
        let left = usize::try_from(input.bytes.saturating_sub(done)).unwrap_or(usize::MAX);
        let bytes = chunk.get(..left).unwrap_or(&chunk);
        segment.write_at(offset.saturating_add(done), bytes)?;
        done = done.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nn_tensor::{DType, Shape, TensorName};

    use super::*;

    fn filled(name: &str, elements: u32, number: f32) -> Filled {
        let shape = Shape::new(&[elements]).unwrap();
        Filled {
            name: TensorName::new(name).unwrap(),
            dtype: DType::Fp32,
            shape,
            bytes: u64::from(elements) * 4,
            element: number.to_le_bytes().to_vec(),
        }
    }

    #[tokio::test]
    async fn inputs_lie_behind_each_other_filled_and_sealed() {
        const MANY: u32 = 200_000;
        let arena = Arena::new(Budgets::new(1 << 20).of(&Tenant::default()));
        let inputs = [
            filled("a", 3, 0.5),
            filled("b", MANY, 2.0),
            filled("c", 1, 0.0),
        ];
        let (piece, tensors) = place(&arena, &inputs).await.unwrap();
        assert!(piece.segment.write_at(0, b"late").is_err(), "sealed");
        let mapping = Arc::new(piece.segment.map_reader().unwrap());
        let read = |tensor: &Descriptor| {
            let slot = tensor.slot();
            let place = mapping.place(slot.offset, slot.len).unwrap();
            let mut bytes = vec![0; place.len()];
            place.slice().copy_to(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(read(&tensors[0]), 0.5_f32.to_le_bytes().repeat(3));
        assert_eq!(
            read(&tensors[1]),
            2.0_f32.to_le_bytes().repeat(MANY as usize)
        );
        assert_eq!(read(&tensors[2]), [0; 4]);
    }

    #[test]
    fn a_run_that_fails_is_told_by_its_number_with_what_the_framework_said() {
        let inner = Fault::runtime("no such thing").expected("this").got("that");
        let failed = failed(StartError::Refused(inner), (2, 3), Duration::from_secs(1));
        let fault = failed.refusal(true).unwrap();
        assert_eq!(fault.message, "warm-up run 2 of 3 failed: no such thing");
        assert_eq!(
            (fault.expected.as_str(), fault.got.as_str()),
            ("this", "that")
        );
        assert!(failed.refusal(false).is_none(), "a restart is tried again");
    }

    #[test]
    fn a_worker_that_dies_of_its_warm_up_has_crashed() {
        let died = StartError::Died(super::super::Cause::Crash("SIGSEGV"));
        let failed = failed(died, (1, 1), Duration::from_secs(1));
        assert!(failed.refusal(true).is_none());
        assert!(
            failed.to_string().contains("warm-up run 1 of 1"),
            "{failed}"
        );
    }
}
