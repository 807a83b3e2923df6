//! The other life of a worker: it serves nobody, and makes of one model what its framework loads faster. It writes that to memory
//! which came with Boot, and which the daemon takes only when this process has ended. A framework writes to a path alone: its root has the
//! memory at one, and nothing else that can be written.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nn_backend::{Backend, Model};
use nn_sandbox::Sealed;
use nn_worker_wire::{FromWorker, ToWorker};

use nn_worker_base::Exit;
use nn_worker_base::channel::Channel;
use nn_worker_base::log;
use nn_worker_base::start::blobs;

use crate::answer;
use crate::boot::{mapped, precision};

/// Where the root has the memory.
const PATH: &str = "/prepared";

/// The memory. What its path leads to is this descriptor, for as long as it is open.
#[derive(Debug)]
pub(crate) struct Place(OwnedFd);

// === impl Place ===

impl Place {
    pub(crate) fn new(memory: OwnedFd) -> Self {
        Self(memory)
    }

    /// As a file that the root is to have.
    pub(crate) fn sealed(&self) -> Sealed {
        Sealed {
            path: PathBuf::from(PATH),
            descriptor: self.0.as_raw_fd(),
        }
    }

    /// Prepares one model; then waits until it may leave.
    pub(crate) fn serve(&self, channel: &mut Channel, backend: &mut dyn Backend) -> Exit {
        let served = Self::prepare(channel, backend).and_then(|()| match channel.recv()? {
            (ToWorker::Bye, _) => Ok(()),
            _ => Err(Exit::protocol("a frame after the model was prepared")),
        });
        served.err().unwrap_or(Exit::Clean)
    }

    fn prepare(channel: &mut Channel, backend: &mut dyn Backend) -> Result<(), Exit> {
        let (frame, fds) = channel.recv()?;
        let (format, parts, said) = match frame {
            ToWorker::Prepare {
                format,
                parts,
                precision,
            } => (format, parts, precision),
            ToWorker::Bye => return Err(Exit::Clean),
            _ => return Err(Exit::protocol("a frame before the model to prepare")),
        };
        let blobs = blobs(&parts, fds)?;
        let result = mapped(blobs).and_then(|mapped| {
            let named = parts.iter().zip(&mapped);
            let parts: Vec<(&str, &[u8])> = named
                .map(|(part, bytes)| (part.name.as_str(), bytes.as_ref()))
                .collect();
            let model = Model {
                format: &format,
                parts: &parts,
                precision: precision(said),
            };
            backend.prepare(&model, Path::new(PATH))
        });
        let result = result.map_err(answer::failure);
        if let Err(failure) = &result {
            log::line(&format!(
                "not prepared: {} ({})",
                failure.message, failure.detail
            ));
        }
        channel.send(&FromWorker::Prepared { result })
    }
}
