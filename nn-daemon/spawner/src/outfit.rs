//! What workers are made of: told by the daemon while neither it nor this process is jailed, held on to from this process's
//! own jail on. Whoever takes the daemon over later, by what it parses, gets workers of this making or none.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use nn_sandbox::Layer;
use nn_worker_wire::{self as wire, LIBRARIES_MAX, REMOTE, backend_of};

use crate::Exit;
use crate::program::{Library, Program};

/// The most kinds of workers: for each framework those that serve, and those that prepare; and relays.
const BACKENDS_MAX: usize = 5;

/// What the daemon asks for and does not get.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{what} again; expected it once")]
    Again { what: &'static str },
    #[error(
        "other workers after the spawner's own jail, with {layers} layers and the library {library:?}; expected none: \
         what workers are made of is fixed then"
    )]
    Fixed { layers: usize, library: String },
    #[error(
        "{what} after the spawner's own jail; expected before: what workers are made of is fixed then"
    )]
    Late { what: &'static str },
    #[error("Spawn before {missing}")]
    Early { missing: &'static str },
    #[error(
        "{got} libraries for {backend:?}; expected {expected}, at most {LIBRARIES_MAX}, each a file's name"
    )]
    Libraries {
        backend: String,
        expected: usize,
        got: usize,
    },
    #[error("workers for more than {BACKENDS_MAX} backends")]
    Backends,
    #[error("no layer is called {0:?}")]
    Layer(String),
    #[error(
        "a worker with a memory budget of {asked} bytes; expected at most {most}, as was said before the spawner's jail"
    )]
    Budget { asked: u64, most: u64 },
    #[error(
        "a worker with {asked} threads; expected at most {most}, as was said before the spawner's jail"
    )]
    Threads { asked: u32, most: u32 },
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Outfit {
    program: Option<Program>,
    /// What relays are started from.
    relay: Option<Program>,
    /// One for each backend.
    workers: Vec<Workers>,
    is_fixed: bool,
}

/// What the daemon said of one backend, and what was made of it.
#[derive(Debug)]
struct Workers {
    said: wire::Workers,
    layers: Vec<Layer>,
    /// The one that is opened, then those beside it. Those who name the same ones share them.
    libraries: Rc<[Library]>,
}

/// What one worker is started from.
#[derive(Debug)]
pub(crate) struct Made<'a> {
    pub(crate) program: &'a Program,
    pub(crate) libraries: &'a [Library],
    pub(crate) layers: &'a [Layer],
    /// New ones (`CLONE_NEW*`, or-ed).
    pub(crate) namespaces: u64,
}

// === impl Outfit ===

impl Outfit {
    /// Takes the worker program, once, unless it is fixed that there is none.
    pub(crate) fn take_program(&mut self, file: OwnedFd) -> Result<(), Exit> {
        if self.program.is_some() {
            return Err(Refusal::Again { what: "Program" }.into());
        }
        if self.is_fixed {
            return Err(Refusal::Late { what: "Program" }.into());
        }
        self.program = Some(Program::copy(file)?);
        Ok(())
    }

    /// Takes the relay program, likewise.
    pub(crate) fn take_relay(&mut self, file: OwnedFd) -> Result<(), Exit> {
        if self.relay.is_some() {
            return Err(Refusal::Again { what: "Relay" }.into());
        }
        if self.is_fixed {
            return Err(Refusal::Late { what: "Relay" }.into());
        }
        self.relay = Some(Program::copy(file)?);
        Ok(())
    }

    /// Takes everything else, unless it is fixed.
    pub(crate) fn take_workers(
        &mut self,
        said: wire::Workers,
        files: Vec<OwnedFd>,
    ) -> Result<(), Exit> {
        if self.is_fixed {
            let layers = said.layers.len();
            let library = said.library;
            return Err(Refusal::Fixed { layers, library }.into());
        }
        let layers = said.layers.iter();
        let layer = |name: &String| Layer::named(name).ok_or_else(|| Refusal::Layer(name.clone()));
        let layers = layers.map(layer).collect::<Result<Vec<_>, _>>()?;
        let without = said.library.is_empty() && said.backend == REMOTE;
        let own = usize::from(!without);
        let (expected, got) = (said.beside.len().saturating_add(own), files.len());
        let is_name =
            |name: &String| !name.is_empty() && !name.starts_with('.') && !name.contains('/');
        if expected != got || got > LIBRARIES_MAX || !said.beside.iter().all(is_name) {
            let backend = said.backend;
            return Err(Refusal::Libraries {
                backend,
                expected,
                got,
            }
            .into());
        }
        let same = |other: &&Workers| {
            let other = &other.said;
            (&other.library, &other.beside) == (&said.library, &said.beside)
                && backend_of(&other.backend).0 == backend_of(&said.backend).0
                && other.backend != said.backend
        };
        let libraries = match self.workers.iter().find(same) {
            Some(other) => Rc::clone(&other.libraries),
            None => {
                let copied = files.into_iter().map(Library::copy);
                copied.collect::<Result<_, _>>().map_err(Exit::Library)?
            }
        };
        self.workers
            .retain(|other| other.said.backend != said.backend);
        if self.workers.len() >= BACKENDS_MAX {
            return Err(Refusal::Backends.into());
        }
        self.workers.push(Workers {
            layers,
            libraries,
            said,
        });
        Ok(())
    }

    /// Holds on to what there is.
    pub(crate) fn fix(&mut self) {
        self.is_fixed = true;
    }

    fn workers(&self, backend: &str) -> Result<&Workers, Refusal> {
        let mut workers = self.workers.iter();
        let found = workers.find(|workers| workers.said.backend == backend);
        found.ok_or(Refusal::Early { missing: "Workers" })
    }

    /// What every worker of a backend is started from.
    pub(crate) fn made(&self, backend: &str) -> Result<Made<'_>, Refusal> {
        let (program, missing) = match backend {
            REMOTE => (&self.relay, "Relay"),
            _ => (&self.program, "Program"),
        };
        let program = program.as_ref().ok_or(Refusal::Early { missing })?;
        let workers = self.workers(backend)?;
        let layers = workers.layers.iter();
        let namespaces = layers.filter_map(|layer| layer.namespace());
        Ok(Made {
            program,
            libraries: &workers.libraries,
            layers: &workers.layers,
            namespaces: namespaces.fold(0, |all, flag| all | flag),
        })
    }

    /// What one worker is told.
    pub(crate) fn order(
        &self,
        backend: &str,
        uid: Option<u32>,
        data_bytes_max: u64,
        threads: u32,
    ) -> Result<wire::Order, Refusal> {
        let Workers {
            said, libraries, ..
        } = self.workers(backend)?;
        if data_bytes_max > said.data_bytes_max {
            return Err(Refusal::Budget {
                asked: data_bytes_max,
                most: said.data_bytes_max,
            });
        }
        if threads > said.threads_max {
            return Err(Refusal::Threads {
                asked: threads,
                most: said.threads_max,
            });
        }
        // Without a framework there is none: no path, and no descriptor.
        let none = libraries.is_empty().then_some(0);
        let sizes = libraries.iter().map(Library::bytes).chain(none);
        let beside = said.beside.iter();
        let paths = beside.map(|name| Path::new(&said.library).with_file_name(name));
        let paths = paths.map(|path| path.to_string_lossy().into_owned());
        let paths = std::iter::once(said.library.clone()).chain(paths);
        let all = paths.zip(sizes);
        let mut all = all.map(|(path, bytes)| wire::Library { path, bytes });
        let missing = Refusal::Early { missing: "Workers" };
        Ok(wire::Order {
            backend: said.backend.clone(),
            library: all.next().ok_or(missing)?,
            beside: all.collect(),
            threads,
            sandbox: wire::Sandbox {
                profile: said.profile.clone(),
                layers: said.layers.clone(),
                uid,
                data_bytes_max,
                filter: said.filter.clone(),
            },
        })
    }
}

/// A pipe that holds the order and nothing else: its only end, to read from. What it does not hold at once is an error.
pub(crate) fn write_down(order: &wire::Order) -> io::Result<OwnedFd> {
    let bytes = wire::encode(order).map_err(io::Error::other)?;
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    File::from(write).write_all(&bytes)?;
    Ok(read)
}

#[cfg(test)]
mod tests;
