//! How a worker comes up, in this order: nothing but its three descriptors and the log; no
//! environment; nothing to gain and nothing to dump; the framework, warm; Ready; and only then the
//! model.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nn_backend::{Backend, BackendError, LoadedModel, Model, Setup};
use nn_shm::{Blob, fds};
use nn_tensor::{Fault, Signature};
use nn_worker_wire::{BUILD_ID, Failure, FromWorker, Part, ToWorker, encode};

use crate::channel::{Channel, FDS_MAX};
use crate::exit::{self, Exit};
use crate::io::Inputs;
use crate::serve::Desk;
use crate::{Select, log};

const CONTROL_FD: i32 = 3;

/// All that may be in the environment. (ONNX Runtime from 1.29 on reads it when it is loaded.)
const ENVIRONMENT: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// Brings the worker up to the point where it can serve.
pub(crate) fn boot(select: Select) -> Result<(Desk, Box<dyn LoadedModel>), Exit> {
    let mut channel = Channel::new(isolate()?);
    let mut backend = open_framework(&mut channel, select)?;
    let model = load_model(&mut channel, backend.as_mut())?;
    Ok((Desk::new(channel, Inputs::default()), model))
}

/// Gives the control socket.
fn isolate() -> Result<OwnedFd, Exit> {
    let usage = |what: &str| Exit::Usage(what.to_owned());
    // First of all, while it is sure that every descriptor from 4 on is somebody else's.
    fds::close_inherited(4).map_err(Exit::system("close_range"))?;
    let socket = fds::inherited(CONTROL_FD)
        .map_err(|error| usage(&format!("descriptor 3 is no control socket ({error})")))?;
    let (name, value) = ENVIRONMENT;
    if std::env::vars_os().any(|(n, v)| n != name || v != value) {
        return Err(usage("the environment is not empty"));
    }
    std::panic::set_hook(Box::new(|panic| {
        log::last(&panic.to_string());
        fds::exit_now(exit::PANIC);
    }));
    prctl::set_no_new_privs().map_err(Exit::system("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    prctl::set_dumpable(false).map_err(Exit::system("prctl(PR_SET_DUMPABLE)"))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(Exit::system("setrlimit(RLIMIT_CORE)"))?;
    Ok(socket)
}

fn open_framework(channel: &mut Channel, select: Select) -> Result<Box<dyn Backend>, Exit> {
    let (frame, fds) = channel.recv()?;
    let ToWorker::Boot {
        build_id,
        backend: name,
        library,
        threads,
    } = frame
    else {
        return Err(Exit::protocol("the first frame is not Boot"));
    };
    if !fds.is_empty() {
        return Err(Exit::protocol("Boot brings no descriptor"));
    }
    if build_id != BUILD_ID {
        return Err(Exit::Protocol(format!(
            "the daemon is of build {build_id}, this worker of {BUILD_ID}"
        )));
    }
    let unknown = || Exit::Framework(format!("no backend is called {name:?}"), None);
    let mut backend = select(&name).ok_or_else(unknown)?;
    let runtime = backend.open(&Setup {
        library: Path::new(&library),
        threads: usize::try_from(threads).unwrap_or(1),
        log: log::line,
    })?;
    channel.send(&FromWorker::Ready {
        build_id: BUILD_ID.to_owned(),
        runtime,
    })?;
    Ok(backend)
}

/// Gives the model. One that cannot be loaded is told to the daemon, which then says Bye.
fn load_model(
    channel: &mut Channel,
    backend: &mut dyn Backend,
) -> Result<Box<dyn LoadedModel>, Exit> {
    let (frame, fds) = channel.recv()?;
    let (format, parts) = match frame {
        ToWorker::Model { format, parts } => (format, parts),
        ToWorker::Bye => return Err(Exit::Clean),
        _ => return Err(Exit::protocol("a frame before the model")),
    };
    // The file is unmapped and closed before the answer: a loaded model needs it no more.
    let result = load(backend, &format, &parts, blobs(&parts, fds)?);
    match result {
        Ok(model) => {
            channel.send(&loaded(model.signature()))?;
            Ok(model)
        }
        Err(error) => {
            let (fault, detail) = error.split();
            log::line(&format!("no model: {fault} ({detail})"));
            let result = Err(Failure::new(fault, detail));
            channel.send(&FromWorker::Loaded { result })?;
            match channel.recv()? {
                (ToWorker::Bye, _) => Err(Exit::Clean),
                _ => Err(Exit::protocol("a frame for a model that was not loaded")),
            }
        }
    }
}

fn blobs(parts: &[Part], fds: Vec<OwnedFd>) -> Result<Vec<Blob>, Exit> {
    if parts.is_empty() || parts.len() > FDS_MAX || parts.len() != fds.len() {
        let (parts, fds) = (parts.len(), fds.len());
        return Err(Exit::Protocol(format!(
            "a model of {parts} parts in {fds} descriptors"
        )));
    }
    let pairs = parts.iter().zip(fds);
    pairs
        .map(|(part, fd)| Blob::from_fd(fd, part.bytes).map_err(Exit::protocol))
        .collect()
}

fn load(
    backend: &mut dyn Backend,
    format: &str,
    parts: &[Part],
    blobs: Vec<Blob>,
) -> Result<Box<dyn LoadedModel>, BackendError> {
    let mapped: Result<Vec<_>, _> = blobs.into_iter().map(|blob| blob.map()).collect();
    let mapped = mapped.map_err(|error| BackendError::Load(error.into()))?;
    let parts: Vec<(&str, &[u8])> = parts
        .iter()
        .zip(&mapped)
        .map(|(part, bytes)| (part.name.as_str(), bytes.as_ref()))
        .collect();
    backend.load(&Model {
        format,
        parts: &parts,
    })
}

/// Loaded, unless the signature is so long that no frame holds it.
fn loaded(signature: &Signature) -> FromWorker {
    let frame = FromWorker::Loaded {
        result: Ok(signature.into()),
    };
    match encode(&frame) {
        Ok(_) => frame,
        Err(error) => {
            let fault = Fault::too_large("the names of the model's tensors are too long together");
            FromWorker::Loaded {
                result: Err(Failure::new(fault, error.to_string())),
            }
        }
    }
}
