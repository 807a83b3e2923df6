//! What this worker is made of, as its spawner says: on descriptors that it was born with and that nobody else holds.
//! Read before the daemon is heard, which has no say in it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nn_sandbox::{Ask, Layer, Profile, Sealed, Steps, World, steps};
use nn_shm::{Blob, fds};
use nn_worker_wire::{self as wire, FRAME_BYTES_MAX, decode};

use crate::exit::Exit;

/// A pipe that holds the order.
const ORDER_FD: i32 = 4;

/// The framework's library, sealed.
const LIBRARY_FD: i32 = 5;

/// The order, and what came with it.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) said: wire::Order,
    profile: &'static Profile,
    layers: Vec<Layer>,
    path: PathBuf,
    memory: Blob,
}

// === impl Order ===

impl Order {
    /// Reads it, and takes over the library, which stays open for as long as this is kept.
    pub(crate) fn read() -> Result<Self, Exit> {
        let theirs = |number, what| {
            let usage = |error| Exit::Usage(format!("descriptor {number} is no {what} ({error})"));
            fds::inherited_any(number).map_err(usage)
        };
        let pipe = theirs(ORDER_FD, "pipe with an order")?;
        let library = theirs(LIBRARY_FD, "library")?;
        let mut bytes = Vec::new();
        // All of it was there before this process was; the other end is closed.
        let longest = u64::try_from(FRAME_BYTES_MAX).unwrap_or(u64::MAX);
        let read = File::from(pipe).take(longest).read_to_end(&mut bytes);
        read.map_err(Exit::system("reading the order"))?;
        let said = decode(&bytes).map_err(|error| Exit::Usage(format!("no order: {error}")))?;
        Self::check(said, library)
    }

    fn check(said: wire::Order, library: OwnedFd) -> Result<Self, Exit> {
        let unknown = |what: &str| Exit::Usage(format!("no profile or layer is called {what:?}"));
        let sandbox = &said.sandbox;
        let profile = Profile::named(&sandbox.profile).ok_or_else(|| unknown(&sandbox.profile))?;
        let layers = sandbox.layers.iter();
        let layers = layers.map(|name| Layer::named(name).ok_or_else(|| unknown(name)));
        let layers: Vec<Layer> = layers.collect::<Result<_, _>>()?;
        let memory = Blob::from_fd(library, said.library.bytes);
        Ok(Self {
            path: PathBuf::from(&said.library.path),
            memory: memory.map_err(|error| Exit::Usage(error.to_string()))?,
            profile,
            layers,
            said,
        })
    }

    /// The steps to build the jail and to seal it.
    pub(crate) fn steps(&self) -> Result<Steps, Exit> {
        let sandbox = &self.said.sandbox;
        let ask = Ask {
            binds: World::find(self.profile, &self.path)?.binds,
            library: Some(Sealed {
                path: self.path.clone(),
                descriptor: self.descriptor(),
            }),
            uid: sandbox.uid,
            data_bytes_max: sandbox.data_bytes_max,
            threads: self.said.threads,
            filter: sandbox.filter.clone(),
        };
        Ok(steps(self.profile, &self.layers, &ask))
    }

    /// Where the framework's library is to be opened once the jail is up.
    pub(crate) fn library(&self) -> PathBuf {
        if self.layers.contains(&Layer::MountNs) {
            return self.path.clone();
        }
        // Without a root of its own there is no other way to it.
        Path::new("/proc/self/fd").join(self.descriptor().to_string())
    }

    fn descriptor(&self) -> RawFd {
        self.memory.as_fd().as_raw_fd()
    }
}
