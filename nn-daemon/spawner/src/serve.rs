//! The loop: what the daemon asks for, and which workers have ended.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{SockType, getsockopt, sockopt};
use nn_shm::fds;
use nn_worker_wire::{Born, End, FRAME_BYTES_MAX, FromSpawner, ToSpawner, decode, encode};

use crate::Exit;
use crate::clone::{self, Child, Place, Role, Start};
use crate::ids::{self, Ids};
use crate::program::Program;
use crate::{jail, report};

/// The most workers at a time.
const WORKERS_MAX: usize = 256;

/// The control socket, the log pipe, and the control group.
const FDS_MAX: usize = 3;

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

const fn flag(flag: libc::c_int) -> u64 {
    flag.cast_unsigned() as u64
}

/// All that this program holds.
struct Spawner<'a> {
    daemon: BorrowedFd<'a>,
    buffer: Vec<u8>,
    null: File,
    program: Option<Program>,
    workers: HashMap<u32, Worker>,
    /// The first uid that workers may have, where they may have one of their own.
    uid_first: Option<u32>,
    /// Whether its own jail is up.
    jailed: bool,
    /// The namespaces of every worker: those that were tried first in that jail, when no client had been heard. A daemon
    /// that is taken over later gets no worker with fewer walls.
    fixed: Option<u64>,
}

/// A worker, and which of the uids it has.
struct Worker {
    child: Child,
    place: Option<u32>,
}

/// Which descriptors are ready.
#[derive(Default)]
struct Ready {
    daemon: bool,
    signal: bool,
    ended: Vec<u32>,
}

/// Serves until the daemon is gone or says so, then leaves no worker behind.
pub(crate) fn serve() -> Exit {
    let stdin = io::stdin();
    if stdin.is_terminal() || getsockopt(&stdin, sockopt::SockType) != Ok(SockType::SeqPacket) {
        return Exit::Usage("standard input is no SOCK_SEQPACKET socket".to_owned());
    }
    if let Err(error) = clone::hear_of_children() {
        return Exit::System("signal(SIGCHLD)", error);
    }
    let signals = match signals() {
        Ok(signals) => signals,
        Err(error) => return Exit::System("signalfd", error),
    };
    let null = match OpenOptions::new().read(true).write(true).open("/dev/null") {
        Ok(null) => null,
        Err(error) => return Exit::System("opening /dev/null", error),
    };
    let mut spawner = Spawner {
        daemon: stdin.as_fd(),
        buffer: vec![0; FRAME_BYTES_MAX],
        null,
        program: None,
        workers: HashMap::new(),
        uid_first: None,
        jailed: false,
        fixed: None,
    };
    let exit = loop {
        if let Err(exit) = spawner.step(&signals) {
            break exit;
        }
    };
    spawner.end_all();
    exit
}

/// SIGTERM as a descriptor. What a terminal sends to its whole group is not for the spawner to judge:
/// if the daemon ends of it, its socket closes.
fn signals() -> io::Result<SignalFd> {
    let mut terminate = SigSet::empty();
    terminate.add(Signal::SIGTERM);
    let mut blocked = terminate;
    blocked.add(Signal::SIGINT);
    blocked.add(Signal::SIGQUIT);
    blocked.add(Signal::SIGHUP);
    blocked.thread_block()?;
    Ok(SignalFd::with_flags(&terminate, SfdFlags::SFD_CLOEXEC)?)
}

fn system<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> Exit {
    move |error| Exit::System(call, error.into())
}

// === impl Spawner ===

impl Spawner<'_> {
    fn step(&mut self, signals: &SignalFd) -> Result<(), Exit> {
        let ready = self.wait(signals)?;
        if ready.signal {
            return Err(Exit::Clean);
        }
        for worker in ready.ended {
            self.reap(worker)?;
        }
        if ready.daemon {
            self.take()?;
        }
        Ok(())
    }

    fn wait(&self, signals: &SignalFd) -> Result<Ready, Exit> {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut polled = vec![readable(self.daemon), readable(signals.as_fd())];
        let workers: Vec<u32> = self.workers.keys().copied().collect();
        let pidfds = self
            .workers
            .values()
            .map(|worker| worker.child.pidfd.as_fd());
        polled.extend(pidfds.map(readable));
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) => {}
            Err(nix::Error::EINTR) => return Ok(Ready::default()),
            Err(error) => return Err(system("poll")(error)),
        }
        let mut ready = polled.iter().map(|fd| fd.any().unwrap_or(true));
        Ok(Ready {
            daemon: ready.next().unwrap_or(false),
            signal: ready.next().unwrap_or(false),
            ended: workers
                .into_iter()
                .zip(ready)
                .filter_map(|(worker, ended)| ended.then_some(worker))
                .collect(),
        })
    }

    fn take(&mut self) -> Result<(), Exit> {
        let (len, fds) =
            fds::recv_short_of_fds(self.daemon, &mut self.buffer, FDS_MAX).map_err(broken)?;
        let bytes = self.buffer.get(..len).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Exit::Clean);
        }
        let frame: ToSpawner = decode(bytes).map_err(|e| Exit::Protocol(e.to_string()))?;
        let Some(fds) = fds else {
            return self.refuse(&frame);
        };
        let mut fds = fds.into_iter();
        match (frame, fds.next(), fds.next(), fds.next()) {
            (ToSpawner::Program { uid_first }, Some(file), None, _) if self.program.is_none() => {
                self.program = Some(Program::copy(file)?);
                self.uid_first = ids::may_map(uid_first, PLACES).then_some(uid_first);
                Ok(())
            }
            (ToSpawner::Try { namespaces }, cgroup, None, _) => {
                if self.jailed {
                    self.fixed.get_or_insert(namespaces);
                }
                let result = self.try_namespaces(namespaces, cgroup.as_ref());
                let tried = FromSpawner::Tried {
                    namespaces,
                    own_uids: self.uid_first.is_some(),
                    result,
                };
                self.send(&tried, &[])
            }
            (ToSpawner::Spawn { worker, namespaces }, Some(control), Some(log), cgroup) => {
                let place = place(namespaces, cgroup.as_ref());
                self.spawn(worker, place, &control, &log)
            }
            (ToSpawner::Kill { worker }, None, None, _) => {
                if let Some(worker) = self.workers.get(&worker) {
                    clone::end(&worker.child);
                }
                Ok(())
            }
            (ToSpawner::Jail { layers, privileged }, None, None, _) if !self.jailed => {
                jail::enter(&layers, privileged)?;
                self.jailed = true;
                self.send(&FromSpawner::Jailed, &[])
            }
            (ToSpawner::Attest { worker }, None, None, _) => {
                let gone = || format!("there is no worker {worker}");
                let child = self.workers.get(&worker).ok_or_else(gone);
                let result = child.and_then(|worker| report::read(worker.child.pid));
                self.send(&FromSpawner::Attested { worker, result }, &[])
            }
            (frame, ..) => Err(Exit::Protocol(format!(
                "{frame:?} out of place, or with the wrong descriptors"
            ))),
        }
    }

    /// Answers what came without the descriptors that belong to it, for which there was no number left here.
    fn refuse(&self, frame: &ToSpawner) -> Result<(), Exit> {
        let why = "the spawner has no descriptors left (RLIMIT_NOFILE)";
        match *frame {
            ToSpawner::Spawn { worker, .. } => {
                let result = Err(why.to_owned());
                self.send(&FromSpawner::Spawned { worker, result }, &[])
            }
            _ => Err(Exit::Protocol(why.to_owned())),
        }
    }

    /// Starts a child that does nothing but try.
    fn try_namespaces(&self, namespaces: u64, cgroup: Option<&OwnedFd>) -> Result<(), String> {
        if namespaces & !NAMESPACES != 0 {
            return Err("these are not all namespaces".to_owned());
        }
        let (ids, _) = self.identity(namespaces, self.free_place());
        let child = clone::start(Role::Trial, place(namespaces, cgroup), ids.as_ref());
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

    /// The lowest of the workers' uids that no worker has; `None` where they get none of their own.
    fn free_place(&self) -> Option<u32> {
        self.uid_first?;
        let taken = |place: u32| {
            self.workers
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

    fn spawn(
        &mut self,
        worker: u32,
        into: Place<'_>,
        control: &OwnedFd,
        log: &OwnedFd,
    ) -> Result<(), Exit> {
        let namespaces = into.namespaces;
        if let Some(fixed) = self.fixed.filter(|&fixed| fixed != namespaces) {
            return Err(Exit::Protocol(format!(
                "a worker in the namespaces {namespaces:#x}; expected {fixed:#x}, as was tried at the start"
            )));
        }
        let Some(program) = &self.program else {
            return Err(Exit::Protocol("Spawn before Program".to_owned()));
        };
        if namespaces & !NAMESPACES != 0 {
            return Err(Exit::Protocol(format!(
                "{namespaces:#x} are not all namespaces"
            )));
        }
        if self.workers.contains_key(&worker) {
            return Err(Exit::Protocol(format!("worker {worker} exists already")));
        }
        if self.workers.len() >= WORKERS_MAX {
            let result = Err(format!("there are {WORKERS_MAX} workers already"));
            return self.send(&FromSpawner::Spawned { worker, result }, &[]);
        }
        let place = self.free_place();
        let (ids, uid) = self.identity(namespaces, place);
        let start = Start {
            program: program.as_fd(),
            null: self.null.as_fd(),
            log: log.as_fd(),
            control: control.as_fd(),
        };
        match clone::start(Role::Worker(start), into, ids.as_ref()) {
            Ok(child) => {
                let pid = child.pid.as_raw().unsigned_abs();
                let result = Ok(Born { pid, uid });
                let status = report::open_status(child.pid);
                let mut fds = vec![child.pidfd.as_fd()];
                fds.extend(status.iter().map(AsFd::as_fd));
                self.send(&FromSpawner::Spawned { worker, result }, &fds)
                    .inspect_err(|_| clone::end(&child))?;
                self.workers.insert(worker, Worker { child, place });
                Ok(())
            }
            Err(error) => {
                let result = Err(format!("a process in its namespaces: {error}"));
                self.send(&FromSpawner::Spawned { worker, result }, &[])
            }
        }
    }

    /// A worker has ended: its descriptor is readable.
    fn reap(&mut self, worker: u32) -> Result<(), Exit> {
        let Some(ended) = self.workers.get(&worker) else {
            return Ok(());
        };
        let ended = match clone::wait_for(&ended.child, libc::WNOHANG) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            other => other.map_err(system("waitpid"))?,
        };
        let Some(end) = ended else { return Ok(()) };
        self.workers.remove(&worker);
        self.send(&FromSpawner::Exited { worker, end }, &[])
    }

    fn send(&self, frame: &FromSpawner, fds: &[BorrowedFd<'_>]) -> Result<(), Exit> {
        let bytes = encode(frame).map_err(|e| system("writing a frame")(io::Error::other(e)))?;
        fds::send(self.daemon, &bytes, fds).map_err(broken)
    }

    fn end_all(&mut self) {
        self.workers
            .values()
            .for_each(|worker| clone::end(&worker.child));
        for (_, worker) in self.workers.drain() {
            // Killed, so this does not wait for long; a failure would leave nothing to do.
            while clone::wait_for(&worker.child, 0)
                .is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
            {}
        }
    }
}

fn place(namespaces: u64, cgroup: Option<&OwnedFd>) -> Place<'_> {
    Place {
        namespaces,
        cgroup: cgroup.map(AsFd::as_fd),
    }
}

fn broken(error: io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Exit::Clean,
        io::ErrorKind::InvalidData => Exit::Protocol(error.to_string()),
        _ => Exit::System("the daemon's socket", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a worker in these namespaces, where those were tried.
    fn spawned(fixed: Option<u64>, namespaces: u64) -> Exit {
        let null = || File::open("/dev/null").unwrap();
        let (daemon, _peer) = fds::pair().unwrap();
        let mut spawner = Spawner {
            daemon: daemon.as_fd(),
            buffer: Vec::new(),
            null: null(),
            program: None,
            workers: HashMap::new(),
            uid_first: None,
            jailed: true,
            fixed,
        };
        let into = place(namespaces, None);
        let spawned = spawner.spawn(1, into, &null().into(), &null().into());
        spawned.unwrap_err()
    }

    #[test]
    fn a_worker_with_fewer_namespaces_than_were_tried_in_the_jail_is_refused() {
        let exit = spawned(Some(NAMESPACES), NAMESPACES & !USER_NAMESPACE);
        assert!(exit.to_string().contains("expected"), "{exit}");
        // With those that were tried it is only the program that is missing.
        let exit = spawned(Some(NAMESPACES), NAMESPACES);
        assert!(exit.to_string().contains("before Program"), "{exit}");
    }
}
