//! What workers are made of: told by the daemon while neither it nor this process is jailed, held on to from this process's
//! own jail on. Whoever takes the daemon over later, by what it parses, gets workers of this making or none.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use nn_sandbox::Layer;
use nn_worker_wire as wire;

use crate::Exit;
use crate::program::{Library, Program};

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
    workers: Option<Workers>,
    is_fixed: bool,
}

/// What the daemon said, and what was made of it.
#[derive(Debug)]
struct Workers {
    said: wire::Workers,
    layers: Vec<Layer>,
    library: Library,
}

/// What one worker is started from.
#[derive(Debug)]
pub(crate) struct Made<'a> {
    pub(crate) program: &'a Program,
    pub(crate) library: &'a Library,
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

    /// Takes everything else, unless it is fixed.
    pub(crate) fn take_workers(&mut self, said: wire::Workers, file: OwnedFd) -> Result<(), Exit> {
        if self.is_fixed {
            let layers = said.layers.len();
            let library = said.library;
            return Err(Refusal::Fixed { layers, library }.into());
        }
        let layers = said.layers.iter();
        let layer = |name: &String| Layer::named(name).ok_or_else(|| Refusal::Layer(name.clone()));
        let layers = layers.map(layer).collect::<Result<Vec<_>, _>>()?;
        let library = Library::copy(file).map_err(Exit::Library)?;
        self.workers = Some(Workers {
            layers,
            library,
            said,
        });
        Ok(())
    }

    /// Holds on to what there is.
    pub(crate) fn fix(&mut self) {
        self.is_fixed = true;
    }

    /// What every worker is started from.
    pub(crate) fn made(&self) -> Result<Made<'_>, Refusal> {
        let missing = |missing| Refusal::Early { missing };
        let program = self.program.as_ref().ok_or_else(|| missing("Program"))?;
        let workers = self.workers.as_ref().ok_or_else(|| missing("Workers"))?;
        let layers = workers.layers.iter();
        let namespaces = layers.filter_map(|layer| layer.namespace());
        Ok(Made {
            program,
            library: &workers.library,
            layers: &workers.layers,
            namespaces: namespaces.fold(0, |all, flag| all | flag),
        })
    }

    /// What one worker is told.
    pub(crate) fn order(
        &self,
        uid: Option<u32>,
        data_bytes_max: u64,
        threads: u32,
    ) -> Result<wire::Order, Refusal> {
        let missing = Refusal::Early { missing: "Workers" };
        let Workers { said, library, .. } = self.workers.as_ref().ok_or(missing)?;
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
        Ok(wire::Order {
            backend: said.backend.clone(),
            library: wire::Library {
                path: said.library.clone(),
                bytes: library.bytes(),
            },
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
