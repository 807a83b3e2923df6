//! The workers there are: how one is started, which uid it gets, how it ends.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::libc;
use nix::unistd::Pid;
use nn_worker_wire::{End, Report};

use crate::clone::{self, Child, Place, Role, Start};
use crate::ids::{self, Ids};
use crate::outfit::{Outfit, Refusal, write_down};
use crate::{Exit, report};

/// The most workers at a time.
const WORKERS_MAX: usize = 256;

/// As many uids: the spawner gives away the lowest that is free.
const PLACES: u32 = 256;

/// The namespaces that may be asked for.
const NAMESPACES: u64 = USER_NAMESPACE
    | flag(libc::CLONE_NEWNS)
    | flag(libc::CLONE_NEWPID)
    | flag(libc::CLONE_NEWNET)
    | flag(libc::CLONE_NEWIPC)
    | flag(libc::CLONE_NEWUTS)
    | flag(libc::CLONE_NEWCGROUP);

const USER_NAMESPACE: u64 = flag(libc::CLONE_NEWUSER);

/// All of them, by the daemon's names.
#[derive(Debug)]
pub(crate) struct Workers {
    null: File,
    alive: HashMap<u32, Worker>,
    /// The first uid that workers may have, where they may have one of their own.
    uid_first: Option<u32>,
}

/// What the daemon wants of one.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) worker: u32,
    pub(crate) backend: &'a str,
    pub(crate) data_bytes_max: u64,
    pub(crate) threads: u32,
    pub(crate) control: &'a OwnedFd,
    pub(crate) log: &'a OwnedFd,
    pub(crate) cgroup: Option<&'a OwnedFd>,
}

/// Why there is no further worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoWorker {
    #[error("there are {WORKERS_MAX} workers already")]
    TooMany,
    #[error("a process in its namespaces: {0}")]
    Clone(#[source] io::Error),
    #[error("a pipe with what it is made of: {0}")]
    Order(#[source] io::Error),
    #[error(transparent)]
    Refused(Refusal),
}

/// A worker, and which of the uids it has.
#[derive(Debug)]
struct Worker {
    child: Child,
    /// What it was made for.
    backend: String,
    place: Option<u32>,
}

const fn flag(flag: libc::c_int) -> u64 {
    flag.cast_unsigned() as u64
}

// === impl Workers ===

impl Workers {
    /// None yet. Opens what stands for their standard input and output.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            null: OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/null")?,
            alive: HashMap::new(),
            uid_first: None,
        })
    }

    /// Uids that workers get from here on, where this process may give them away.
    pub(crate) fn give_uids(&mut self, first: u32) {
        self.uid_first = ids::may_map(first, PLACES).then_some(first);
    }

    /// Whether they get any.
    pub(crate) fn own_uids(&self) -> bool {
        self.uid_first.is_some()
    }

    /// Their names, and what is readable when one has ended.
    pub(crate) fn pidfds(&self) -> (Vec<u32>, Vec<BorrowedFd<'_>>) {
        let alive = self.alive.iter();
        let each = alive.map(|(worker, Worker { child, .. })| (*worker, child.pidfd.as_fd()));
        each.unzip()
    }

    /// Starts one, of the outfit; gives its process, and what is handed on of it.
    pub(crate) fn start(
        &mut self,
        outfit: &Outfit,
        wanted: &Wanted<'_>,
    ) -> Result<Result<&Child, NoWorker>, Exit> {
        let made = outfit.made(wanted.backend)?;
        let worker = wanted.worker;
        if self.alive.contains_key(&worker) {
            return Err(Exit::Protocol(format!("worker {worker} exists already")));
        }
        if self.alive.len() >= WORKERS_MAX {
            return Ok(Err(NoWorker::TooMany));
        }
        let place = self.free_place();
        let (ids, uid) = self.identity(made.namespaces, place);
        let order = match outfit.order(wanted.backend, uid, wanted.data_bytes_max, wanted.threads) {
            Ok(order) => order,
            Err(refusal) => return Ok(Err(NoWorker::Refused(refusal))),
        };
        let order = match write_down(&order) {
            Ok(order) => order,
            Err(error) => return Ok(Err(NoWorker::Order(error))),
        };
        let libraries: Vec<BorrowedFd<'_>> = made.libraries.iter().map(AsFd::as_fd).collect();
        let start = Start {
            program: made.program.as_fd(),
            null: self.null.as_fd(),
            log: wanted.log.as_fd(),
            control: wanted.control.as_fd(),
            order: order.as_fd(),
            libraries: &libraries,
        };
        let into = into(made.namespaces, wanted.cgroup);
        Ok(
            match clone::start(Role::Worker(start), into, ids.as_ref()) {
                Ok(child) => {
                    let entry = self.alive.entry(worker);
                    let started = Worker {
                        child,
                        backend: wanted.backend.to_owned(),
                        place,
                    };
                    Ok(&entry.insert_entry(started).into_mut().child)
                }
                Err(error) => Err(NoWorker::Clone(error)),
            },
        )
    }

    /// Starts a child that does nothing but try.
    pub(crate) fn try_namespaces(
        &self,
        namespaces: u64,
        cgroup: Option<&OwnedFd>,
    ) -> Result<(), String> {
        if namespaces & !NAMESPACES != 0 {
            return Err("these are not all namespaces".to_owned());
        }
        let (ids, _) = self.identity(namespaces, self.free_place());
        let child = clone::start(Role::Trial, into(namespaces, cgroup), ids.as_ref());
        let child = child.map_err(|error| format!("no process can be started in them: {error}"))?;
        loop {
            match clone::wait_for(&child, 0) {
                Ok(Some(End::Exit(clone::TRIED))) => return Ok(()),
                Ok(_) => return Err("a process in them may not mount".to_owned()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("waitpid failed: {error}")),
            }
        }
    }

    /// Kills one. Not an error when it has ended already.
    pub(crate) fn kill(&self, worker: u32) {
        if let Some(worker) = self.alive.get(&worker) {
            clone::end(&worker.child);
        }
    }

    /// The process of one that has not been waited for.
    pub(crate) fn pid(&self, worker: u32) -> Option<Pid> {
        Some(self.alive.get(&worker)?.child.pid)
    }

    /// What the kernel says of one. One that is not jailed as the outfit says is killed, whoever asks.
    pub(crate) fn attest(&self, worker: u32, outfit: &Outfit) -> Result<Report, String> {
        let gone = || format!("there is no worker {worker}");
        let Worker { child, backend, .. } = self.alive.get(&worker).ok_or_else(gone)?;
        let report = report::read(child.pid)?;
        let made = outfit
            .made(backend)
            .map_err(|refusal| refusal.to_string())?;
        let own = |file: &str| report.has_own(file);
        let judged = nn_sandbox::judge(made.layers, &report.threads, &report.spawner, own);
        match judged {
            Ok(()) => Ok(report),
            Err(why) => {
                clone::end(child);
                Err(format!("process {}, which is killed: {why}", child.pid))
            }
        }
    }

    /// How one has ended, whose descriptor was readable; nothing if it has not.
    pub(crate) fn reap(&mut self, worker: u32) -> io::Result<Option<End>> {
        let Some(ended) = self.alive.get(&worker) else {
            return Ok(None);
        };
        match clone::wait_for(&ended.child, libc::WNOHANG) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Ok(Some(end)) => {
                self.alive.remove(&worker);
                Ok(Some(end))
            }
            other => other,
        }
    }

    /// Leaves none behind.
    pub(crate) fn end_all(&mut self) {
        self.alive
            .values()
            .for_each(|worker| clone::end(&worker.child));
        for (_, worker) in self.alive.drain() {
            // Killed, so this does not wait for long; a failure would leave nothing to do.
            while clone::wait_for(&worker.child, 0)
                .is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
            {}
        }
    }

    /// The lowest of the workers' uids that no worker has; `None` where they get none of their own.
    fn free_place(&self) -> Option<u32> {
        self.uid_first?;
        let taken = |place: u32| {
            self.alive
                .values()
                .any(|worker| worker.place == Some(place))
        };
        (0..).find(|&place| !taken(place))
    }

    /// The maps to write, and the uid to become.
    fn identity(&self, namespaces: u64, place: Option<u32>) -> (Option<Ids>, Option<u32>) {
        let own = self
            .uid_first
            .zip(place)
            .map(|(first, place)| first.saturating_add(place));
        if namespaces & USER_NAMESPACE != 0 {
            let ids = own.map_or_else(Ids::ours, Ids::own);
            (Some(ids), Some(ids::INSIDE))
        } else {
            (None, own)
        }
    }
}

fn into(namespaces: u64, cgroup: Option<&OwnedFd>) -> Place<'_> {
    Place {
        namespaces,
        cgroup: cgroup.map(AsFd::as_fd),
    }
}
