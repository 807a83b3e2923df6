//! One job: its slots into a message, the message to an engine, and what comes back into slots. Ends at its deadline, at an
//! interrupt, or with an answer; what it had under way ends with it.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use nn_shm::{Place, ShmError};
use nn_tensor::{ArenaId, DType, Descriptor, Fault, Reason, Shape, TENSORS_MAX};
use nn_worker_base::Exit;
use nn_worker_base::answer::{cancelled, late};
use nn_worker_wire::{Failure, Run, Tensor};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::desk::{Desk, Held};
use crate::engine::answer;
use crate::engine::failed::Failed;
use crate::engine::message::{Input, NoRequest, infer};

/// What stands for a deadline beyond the end of time.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// How much later than the daemon's a job's deadline may be here: it took as long to come. Less than a worker has to stop.
const TOGETHER: Duration = Duration::from_millis(100);

/// A job that has come.
#[derive(Debug)]
pub(crate) struct Job {
    number: u64,
    /// In the order in which they came.
    inputs: Vec<(Descriptor, Place)>,
    arena: ArenaId,
    begun: Instant,
    deadline: Instant,
}

/// A failure that is the answer to a job.
type Refusal = Box<Failure>;

/// An output: its type, its shape, its bytes.
type Output = (DType, Shape, Bytes);

// === impl Job ===

impl Job {
    /// Looks every slot up. One that is nowhere is a broken protocol.
    pub(crate) fn new(desk: &Desk, run: Run) -> Result<Self, Exit> {
        if run.inputs.len() > TENSORS_MAX {
            return Err(Exit::protocol("too many inputs"));
        }
        let arenas = desk.arenas.borrow();
        let input = |tensor: Tensor| {
            let descriptor = Descriptor::try_from(tensor).map_err(Exit::protocol)?;
            let place = arenas.input(descriptor.slot()).map_err(Exit::protocol)?;
            Ok((descriptor, place))
        };
        let inputs: Result<_, Exit> = run.inputs.into_iter().map(input).collect();
        let begun = Instant::now();
        let far = begun.checked_add(FAR).unwrap_or(begun);
        let within = Duration::from_micros(run.timeout_us);
        Ok(Self {
            number: run.job,
            inputs: inputs?,
            arena: ArenaId(run.out_arena),
            begun,
            deadline: begun.checked_add(within).unwrap_or(far).min(far),
        })
    }

    /// Does it, and answers.
    pub(crate) async fn work(self, desk: Rc<Desk>, (interrupt, is_unwanted): (Rc<Notify>, bool)) {
        let result = if is_unwanted {
            Err(cancelled().into())
        } else {
            tokio::select! {
                biased;
                () = self.given_up(&interrupt) => Err(Failure { interrupted: true, ..cancelled() }.into()),
                result = self.compute(&desk) => result,
            }
        };
        desk.answer(self.number, result.map_err(|failure| *failure), self.begun);
    }

    /// Until nobody waits any more. At its deadline the daemon interrupts a job as well: that is left to the job's own deadline,
    /// which comes with it and knows that the engine was waited for.
    async fn given_up(&self, interrupt: &Notify) {
        interrupt.notified().await;
        if self.deadline.saturating_duration_since(Instant::now()) <= TOGETHER {
            std::future::pending().await
        }
    }

    async fn compute(&self, desk: &Desk) -> Result<Vec<Tensor>, Refusal> {
        // The engine's own deadline is the same one, and knows more of it: it is looked at first.
        let all = timeout_at(self.deadline, self.compute_all(desk)).await;
        all.unwrap_or_else(|_| {
            let waited = self.begun.elapsed().as_millis();
            let fault =
                Fault::of(Reason::DeadlineRunning).got(format!("nothing within {waited} ms"));
            Err(Failure::new(fault, "no memory for its outputs in time".to_owned()).into())
        })
    }

    async fn compute_all(&self, desk: &Desk) -> Result<Vec<Tensor>, Refusal> {
        let engine = &desk.engine;
        let tensors = self.inputs.iter();
        let tensors = tensors.map(|(one, _)| (one.name().as_str(), one.dtype(), one.shape()));
        let fits = engine.signature().accepts(tensors);
        fits.map_err(|mismatch| Failure::new(mismatch.into(), String::new()))?;
        let turn = async {
            let call = desk.calls.acquire().await.ok()?;
            Some((call, desk.memory(self.input_bytes()).await?))
        };
        let Ok(Some((call, _memory))) = timeout_at(self.deadline, turn).await else {
            return Err(late().into());
        };
        let message = self.message(desk)?;
        let check = |message: Bytes| outputs(desk, &message);
        let outputs = engine.infer(message, self.deadline, check).await;
        let outputs = outputs.map_err(|failed| Box::new(failed.into_failure()))?;
        // What follows waits for memory here, not for an engine.
        drop(call);
        self.put(desk, outputs).await
    }

    fn input_bytes(&self) -> u64 {
        let bytes = self.inputs.iter().map(|(_, place)| place.len());
        let bytes = bytes.fold(0, usize::saturating_add);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The inputs as one message: each of their bytes is read once.
    fn message(&self, desk: &Desk) -> Result<Bytes, Refusal> {
        let engine = &desk.engine;
        let input = |(descriptor, place): &(Descriptor, Place)| Input {
            name: descriptor.name().clone(),
            dtype: descriptor.dtype(),
            shape: descriptor.shape(),
            bytes: place.len(),
        };
        let inputs: Vec<Input> = self.inputs.iter().map(input).collect();
        let fill = |index: usize, to: &mut [u8]| match self.inputs.get(index) {
            Some((_, place)) => place.slice().copy_to(to),
            None => Ok(()),
        };
        let (remote, max) = (engine.remote(), engine.message_bytes_max());
        let message = infer((&remote.model, &remote.version), &inputs, max, fill);
        message.map_err(|error| match error {
            NoRequest::TooLong(bytes) => {
                let fault = Fault::of(Reason::RemoteMessage)
                    .expected(format!("at most {max} bytes in one message"))
                    .got(bytes.to_string());
                Box::new(Failure::new(fault, String::new()))
            }
            NoRequest::Bytes(error) => unread(&error),
        })
    }

    /// Outputs into slots: all of them, or none.
    async fn put(&self, desk: &Desk, outputs: Vec<Output>) -> Result<Vec<Tensor>, Refusal> {
        let mut held: Vec<Held<'_>> = Vec::with_capacity(outputs.len());
        let mut tensors = Vec::with_capacity(outputs.len());
        let specs = &desk.engine.signature().outputs;
        for (spec, (dtype, shape, bytes)) in specs.iter().zip(outputs) {
            let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let slot = desk.hold(self.arena, len).await?;
            slot.fill(&bytes).map_err(|error| unread(&error))?;
            let descriptor = Descriptor::new(spec.name.clone(), dtype, shape, slot.slot());
            let descriptor = descriptor.map_err(|fault| Failure::new(fault, String::new()))?;
            tensors.push(Tensor::from(&descriptor));
            held.push(slot);
        }
        held.iter().for_each(Held::keep);
        Ok(tensors)
    }
}

/// The answer's outputs, checked.
fn outputs(desk: &Desk, message: &Bytes) -> Result<Vec<Output>, Failed> {
    let engine = &desk.engine;
    let given = answer::check(engine.signature(), message, engine.message_bytes_max())?;
    let output = |given: answer::Given<'_>| {
        let bytes = match given.bytes {
            std::borrow::Cow::Borrowed(part) => message.slice_ref(part),
            std::borrow::Cow::Owned(bytes) => bytes.into(),
        };
        (given.dtype, given.shape, bytes)
    };
    Ok(given.into_iter().map(output).collect())
}

fn unread(error: &ShmError) -> Refusal {
    Box::new(Failure::new(Fault::of(Reason::Defect), error.to_string()))
}
