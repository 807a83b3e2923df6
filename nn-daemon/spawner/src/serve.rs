//! The loop: what the daemon asks for, and which workers have ended.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{SockType, getsockopt, sockopt};
use nn_shm::fds;
use nn_worker_wire::{FRAME_BYTES_MAX, FromSpawner, ToSpawner, decode, encode};

use crate::Exit;
use crate::clone::{self, Child, Start};
use crate::program::Program;

/// The most workers at a time.
const WORKERS_MAX: usize = 256;

/// The control socket and the log pipe.
const FDS_MAX: usize = 2;

/// All that this program holds.
struct Spawner<'a> {
    daemon: BorrowedFd<'a>,
    buffer: Vec<u8>,
    null: File,
    program: Option<Program>,
    workers: HashMap<u32, Child>,
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
        let pidfds = self.workers.values().map(|child| child.pidfd.as_fd());
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
        let packet = fds::recv(self.daemon, &mut self.buffer, FDS_MAX).map_err(broken)?;
        let bytes = self.buffer.get(..packet.len).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Exit::Clean);
        }
        let frame: ToSpawner = decode(bytes).map_err(|e| Exit::Protocol(e.to_string()))?;
        let mut fds = packet.fds.into_iter();
        match (frame, fds.next(), fds.next()) {
            (ToSpawner::Program, Some(file), None) if self.program.is_none() => {
                self.program = Some(Program::copy(file)?);
                Ok(())
            }
            (ToSpawner::Spawn { worker }, Some(control), Some(log)) => {
                self.spawn(worker, &control, &log)
            }
            (ToSpawner::Kill { worker }, None, None) => {
                if let Some(child) = self.workers.get(&worker) {
                    end(child);
                }
                Ok(())
            }
            (frame, ..) => Err(Exit::Protocol(format!(
                "{frame:?} out of place, or with the wrong descriptors"
            ))),
        }
    }

    fn spawn(&mut self, worker: u32, control: &OwnedFd, log: &OwnedFd) -> Result<(), Exit> {
        let Some(program) = &self.program else {
            return Err(Exit::Protocol("Spawn before Program".to_owned()));
        };
        if self.workers.contains_key(&worker) {
            return Err(Exit::Protocol(format!("worker {worker} exists already")));
        }
        if self.workers.len() >= WORKERS_MAX {
            let result = Err(format!("there are {WORKERS_MAX} workers already"));
            return self.send(&FromSpawner::Spawned { worker, result }, &[]);
        }
        let started = clone::start(Start {
            program: program.as_fd(),
            null: self.null.as_fd(),
            log: log.as_fd(),
            control: control.as_fd(),
        });
        match started {
            Ok(child) => {
                let pid = child.pid.as_raw().unsigned_abs();
                let result = Ok(pid);
                self.send(
                    &FromSpawner::Spawned { worker, result },
                    &[child.pidfd.as_fd()],
                )
                .inspect_err(|_| end(&child))?;
                self.workers.insert(worker, child);
                Ok(())
            }
            Err(error) => {
                let result = Err(format!("clone3 failed: {error}"));
                self.send(&FromSpawner::Spawned { worker, result }, &[])
            }
        }
    }

    /// A worker has ended: its descriptor is readable.
    fn reap(&mut self, worker: u32) -> Result<(), Exit> {
        let Some(child) = self.workers.get(&worker) else {
            return Ok(());
        };
        let ended = match clone::wait(child, libc::WNOHANG) {
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
        self.workers.values().for_each(end);
        for (_, child) in self.workers.drain() {
            // Killed, so this does not wait for long; a failure would leave nothing to do.
            while clone::wait(&child, 0)
                .is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
            {}
        }
    }
}

/// Kills a child that was not waited for yet, so that its number is still its own.
fn end(child: &Child) {
    // The one failure there is would be that it has ended, which is what is wanted.
    let _ = kill(child.pid, Signal::SIGKILL);
}

fn broken(error: io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Exit::Clean,
        io::ErrorKind::InvalidData => Exit::Protocol(error.to_string()),
        _ => Exit::System("the daemon's socket", error),
    }
}
