//! How a worker comes up, in this order: nothing but its descriptors and the log; no environment; what its spawner says
//! that it is made of; the daemon's Boot; the jail (it was born in its namespaces); the thread that takes interrupts; the
//! framework, warm; the seal; Ready; and only then, when the daemon has seen for itself that the jail is up, the model. A worker that never gets one is a canary:
//! it computes something small whenever it is asked to.

use std::hash::RandomState;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nn_backend::{Backend, BackendError, LoadedModel, Model, Precision, Setup};
use nn_sandbox::apply;
use nn_shm::{Blob, BlobMapping};
use nn_worker_base::answer::loaded;
use nn_worker_base::channel::Channel;
use nn_worker_base::order::Order;
use nn_worker_base::start::{blobs, isolate};
use nn_worker_base::{Exit, log};
use nn_worker_wire::{self as wire, BUILD_ID, FromWorker, PREPARED, Part, ToWorker, backend_of};

use crate::converted::Declared;
use crate::interrupts::Interrupts;
use crate::io::Inputs;
use crate::prepare::Place;
use crate::serve::Desk;
use crate::{Select, answer};

/// Comes with Boot, and gets the lowest number that is free: the order's, which has been read by then. The filter names
/// it.
const INTERRUPTS_FD: i32 = 4;

/// Brings the worker up to the point where it can serve.
pub(crate) fn boot(select: Select) -> Result<(Desk, Box<dyn LoadedModel>), Exit> {
    let mut channel = Channel::new(isolate()?);
    let order = Order::read()?;
    // For good: what is taken down one by one makes calls that a sealed process has no more.
    let (backend, interrupts, place) = open_framework(&mut channel, order, select)?;
    let backend = Box::leak(backend);
    if let Some(place) = place {
        return Err(place.serve(&mut channel, backend));
    }
    let model = load_model(&mut channel, backend)?;
    interrupts.stop_by(model.interrupter());
    Ok((Desk::new(channel, Inputs::default(), interrupts), model))
}

/// A framework, what stops its runs, and where to write what is prepared.
type Opened = (Box<dyn Backend>, Arc<Interrupts>, Option<Place>);

/// The framework, and the thread that stops its runs: both are there when the seal comes. And where to write, if it is to.
fn open_framework(channel: &mut Channel, order: Order, select: Select) -> Result<Opened, Exit> {
    let (frame, fds) = channel.recv()?;
    let ToWorker::Boot { build_id } = frame else {
        return Err(Exit::protocol("the first frame is not Boot"));
    };
    let (name, prepares) = backend_of(&order.said.backend);
    let mut fds = fds.into_iter();
    let socket = fds.next().filter(|fd| fd.as_raw_fd() == INTERRUPTS_FD);
    let place = fds.next().map(Place::new);
    let (Some(socket), None, true) = (socket, fds.next(), place.is_some() == prepares) else {
        return Err(Exit::protocol(
            "Boot brings one descriptor, the fifth; and memory to a worker that prepares",
        ));
    };
    if build_id != BUILD_ID {
        return Err(Exit::Protocol(format!(
            "the daemon is of build {build_id}, this worker of {BUILD_ID}"
        )));
    }
    let unknown = || Exit::Framework(format!("no backend is called {name:?}"), None);
    let mut backend = select(name).ok_or_else(unknown)?;
    let steps = order.steps(place.as_ref().map(Place::sealed))?;
    apply(&steps.enter)?;
    let interrupts = Interrupts::listen(socket)?;
    let runtime = backend.open(&Setup {
        library: &order.library()?,
        threads: usize::try_from(order.said.threads).unwrap_or(1),
        log: log::line,
    });
    let runtime = runtime.map_err(not_opened)?;
    // Mapped by now: its descriptor would only be a way to it.
    drop(order);
    // The keys of this thread's hash maps are the last thing that it asks the kernel for by a call of its own.
    let _ = RandomState::new();
    apply(&steps.seal)?;
    channel.send(&FromWorker::Ready {
        build_id: BUILD_ID.to_owned(),
        runtime,
    })?;
    Ok((backend, interrupts, place))
}

fn not_opened(error: BackendError) -> Exit {
    let (fault, detail) = error.split();
    Exit::Framework(fault.message, Some(detail))
}

/// Gives the model. One that cannot be loaded is told to the daemon, which then says Bye.
fn load_model(
    channel: &mut Channel,
    backend: &mut dyn Backend,
) -> Result<Box<dyn LoadedModel>, Exit> {
    let mut declared = Declared::default();
    let (format, parts, said, fds) = loop {
        match channel.recv()? {
            (
                ToWorker::Model {
                    format,
                    parts,
                    precision,
                },
                fds,
            ) => break (format, parts, precision, fds),
            (ToWorker::Canary { turn }, fds) if fds.is_empty() => {
                let result = backend.check().map_err(answer::failure);
                channel.send(&FromWorker::Canary { turn, result })?;
            }
            (ToWorker::Convert { conversion }, fds) if fds.is_empty() => {
                declared.add(conversion).map_err(Exit::protocol)?;
            }
            (ToWorker::Bye, _) => return Err(Exit::Clean),
            _ => return Err(Exit::protocol("a frame before the model")),
        }
    };
    let blobs = blobs(&parts, fds)?;
    let result = if format == PREPARED {
        load_prepared(backend, blobs, precision(said))
    } else {
        // The file is unmapped and closed before the answer: a loaded model needs it no more.
        load(backend, &format, &parts, (blobs, precision(said)))
    };
    match result.and_then(|model| declared.around(model)) {
        Ok((model, own)) => {
            channel.send(&loaded(&own))?;
            Ok(model)
        }
        Err(error) => {
            let failure = answer::failure(error);
            log::line(&format!(
                "no model: {} ({})",
                failure.message, failure.detail
            ));
            let result = Err(failure);
            channel.send(&FromWorker::Loaded { result })?;
            match channel.recv()? {
                (ToWorker::Bye, _) => Err(Exit::Clean),
                _ => Err(Exit::protocol("a frame for a model that was not loaded")),
            }
        }
    }
}

fn load(
    backend: &mut dyn Backend,
    format: &str,
    parts: &[Part],
    (blobs, precision): (Vec<Blob>, Precision),
) -> Result<Box<dyn LoadedModel>, BackendError> {
    let mapped = mapped(blobs)?;
    let parts: Vec<(&str, &[u8])> = parts
        .iter()
        .zip(&mapped)
        .map(|(part, bytes)| (part.name.as_str(), bytes.as_ref()))
        .collect();
    backend.load(&Model {
        format,
        parts: &parts,
        precision,
    })
}

/// What was prepared stays mapped for as long as the process lives: the model is in it, and in that of every other worker.
fn load_prepared(
    backend: &mut dyn Backend,
    blobs: Vec<Blob>,
    precision: Precision,
) -> Result<Box<dyn LoadedModel>, BackendError> {
    let mapped = mapped(blobs)?.into_iter().next();
    let mapped: &'static BlobMapping =
        Box::leak(Box::new(mapped.ok_or_else(|| BackendError::Format {
            expected: "one file",
            got: "none".to_owned(),
        })?));
    backend.load_prepared(mapped.as_ref(), precision)
}

pub(crate) fn mapped(blobs: Vec<Blob>) -> Result<Vec<BlobMapping>, BackendError> {
    let mapped = blobs.into_iter().map(|blob| blob.map());
    let mapped: Result<Vec<BlobMapping>, _> = mapped.collect();
    mapped.map_err(|error| BackendError::Load(error.into()))
}

pub(crate) fn precision(said: wire::Precision) -> Precision {
    match said {
        wire::Precision::F32 => Precision::F32,
        wire::Precision::Native => Precision::Native,
    }
}
