//! What this process is made of, as its spawner says: on descriptors that it was born with and that nobody else holds.
//! Read before the daemon is heard, which has no say in it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nn_sandbox::{Ask, Layer, Profile, Sealed, Steps, World, steps};
use nn_shm::{Blob, fds};
use nn_worker_wire::{self as wire, FRAME_BYTES_MAX, LIBRARIES_MAX, decode};

use crate::exit::Exit;

/// A pipe that holds the order.
const ORDER_FD: i32 = 4;

/// The framework's library, sealed; those beside it follow.
const LIBRARY_FD: i32 = 5;

/// Behind as many of them as there can be.
pub const FIRST_FOREIGN_FD: u32 = 13;

const _: () = assert!(LIBRARY_FD as usize + LIBRARIES_MAX == FIRST_FOREIGN_FD as usize);

/// The order, and what came with it.
#[derive(Debug)]
pub struct Order {
    /// What the spawner said.
    pub said: wire::Order,
    profile: &'static Profile,
    layers: Vec<Layer>,
    libraries: Vec<(PathBuf, Blob)>,
}

// === impl Order ===

impl Order {
    /// Reads it, and takes over the libraries, which stay open for as long as this is kept.
    pub fn read() -> Result<Self, Exit> {
        let theirs = |number, what| {
            let usage = |error| Exit::Usage(format!("descriptor {number} is no {what} ({error})"));
            fds::inherited_any(number).map_err(usage)
        };
        let pipe = theirs(ORDER_FD, "pipe with an order")?;
        let mut bytes = Vec::new();
        // All of it was there before this process was; the other end is closed.
        let longest = u64::try_from(FRAME_BYTES_MAX).unwrap_or(u64::MAX);
        let read = File::from(pipe).take(longest).read_to_end(&mut bytes);
        read.map_err(Exit::system("reading the order"))?;
        let said: wire::Order =
            decode(&bytes).map_err(|error| Exit::Usage(format!("no order: {error}")))?;
        let count = said.libraries();
        if count > LIBRARIES_MAX {
            return Err(Exit::Usage(format!("an order of {count} libraries")));
        }
        let numbers = (LIBRARY_FD..).take(count);
        let files = numbers.map(|number| theirs(number, "library"));
        Self::check(said, files.collect::<Result<_, _>>()?)
    }

    fn check(said: wire::Order, files: Vec<OwnedFd>) -> Result<Self, Exit> {
        let unknown = |what: &str| Exit::Usage(format!("no profile or layer is called {what:?}"));
        let sandbox = &said.sandbox;
        let profile = Profile::named(&sandbox.profile).ok_or_else(|| unknown(&sandbox.profile))?;
        let layers = sandbox.layers.iter();
        let layers = layers.map(|name| Layer::named(name).ok_or_else(|| unknown(name)));
        let layers: Vec<Layer> = layers.collect::<Result<_, _>>()?;
        let all = std::iter::once(&said.library).chain(&said.beside);
        let libraries = all.zip(files).map(|(library, file)| {
            let memory = Blob::from_fd(file, library.bytes);
            let memory = memory.map_err(|error| Exit::Usage(error.to_string()))?;
            Ok((PathBuf::from(&library.path), memory))
        });
        Ok(Self {
            libraries: libraries.collect::<Result<_, Exit>>()?,
            profile,
            layers,
            said,
        })
    }

    /// The steps to build the jail and to seal it; with a place to write to, if there is one.
    pub fn steps(&self, place: Option<Sealed>) -> Result<Steps, Exit> {
        let sandbox = &self.said.sandbox;
        if place.is_some() && !self.layers.contains(&Layer::MountNs) {
            return Err(Exit::Framework(
                "a worker that prepares models needs a root of its own; expected the layer mntns"
                    .to_owned(),
                None,
            ));
        }
        let ask = Ask {
            binds: World::find(self.profile, Path::new(&self.said.library.path))?.binds,
            libraries: self.sealed().into_iter().chain(place).collect(),
            uid: sandbox.uid,
            data_bytes_max: sandbox.data_bytes_max,
            threads: self.said.threads,
            filter: sandbox.filter.clone(),
        };
        Ok(steps(self.profile, &self.layers, &ask))
    }

    /// Where the framework's library is to be opened once the jail is up.
    pub fn library(&self) -> Result<PathBuf, Exit> {
        let path = PathBuf::from(&self.said.library.path);
        match self.libraries.as_slice() {
            _ if self.layers.contains(&Layer::MountNs) => Ok(path),
            // Without a root of its own there is no other way to it.
            [(_, memory)] => {
                let descriptor = memory.as_fd().as_raw_fd();
                Ok(Path::new("/proc/self/fd").join(descriptor.to_string()))
            }
            // They look for each other by their paths, and what lies there is nobody's sealed copy.
            _ => Err(Exit::Framework(
                format!(
                    "{} has {} libraries, which need a root of their own; expected the layer mntns",
                    self.said.backend,
                    self.libraries.len()
                ),
                None,
            )),
        }
    }

    fn sealed(&self) -> Vec<Sealed> {
        let all = self.libraries.iter();
        let sealed = all.map(|(path, memory)| Sealed {
            path: path.clone(),
            descriptor: memory.as_fd().as_raw_fd(),
        });
        sealed.collect()
    }
}
