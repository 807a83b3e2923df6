//! The loop: what the daemon asks for, and which workers have ended.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{SockType, getsockopt, sockopt};
use nn_shm::fds;
use nn_worker_wire::{
    Born, FRAME_BYTES_MAX, FromSpawner, LIBRARIES_MAX, ToSpawner, decode, encode,
};

use crate::outfit::{Outfit, Refusal};
use crate::workers::{Wanted, Workers};
use crate::{Exit, clone, jail, report};

/// The libraries of a framework; the control socket, the log pipe, and the control group are fewer.
const FDS_MAX: usize = LIBRARIES_MAX;

/// All that this program holds.
struct Spawner<'a> {
    daemon: BorrowedFd<'a>,
    buffer: Vec<u8>,
    outfit: Outfit,
    workers: Workers,
    /// Whether its own jail is up.
    jailed: bool,
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
    let workers = match Workers::new() {
        Ok(workers) => workers,
        Err(error) => return Exit::System("opening /dev/null", error),
    };
    let mut spawner = Spawner {
        daemon: stdin.as_fd(),
        buffer: vec![0; FRAME_BYTES_MAX],
        outfit: Outfit::default(),
        workers,
        jailed: false,
    };
    let exit = loop {
        if let Err(exit) = spawner.step(&signals) {
            break exit;
        }
    };
    spawner.workers.end_all();
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
        let (workers, pidfds) = self.workers.pidfds();
        let mut polled = vec![readable(self.daemon), readable(signals.as_fd())];
        polled.extend(pidfds.into_iter().map(readable));
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
        let frame = match frame {
            ToSpawner::Workers(workers) => return self.outfit.take_workers(workers, fds),
            other => other,
        };
        let mut fds = fds.into_iter();
        match (frame, fds.next(), fds.next(), fds.next()) {
            (ToSpawner::Program { uid_first }, Some(file), None, _) => {
                self.outfit.take_program(file)?;
                self.workers.give_uids(uid_first);
                Ok(())
            }
            (ToSpawner::Relay, Some(file), None, _) => self.outfit.take_relay(file),
            (ToSpawner::Try { namespaces }, cgroup, None, _) => {
                let tried = FromSpawner::Tried {
                    namespaces,
                    own_uids: self.workers.own_uids(),
                    result: self.workers.try_namespaces(namespaces, cgroup.as_ref()),
                };
                self.send(&tried, &[])
            }
            (
                ToSpawner::Spawn {
                    worker,
                    backend,
                    data_bytes_max,
                    threads,
                },
                Some(control),
                Some(log),
                cgroup,
            ) => self.spawn(&Wanted {
                worker,
                backend: &backend,
                data_bytes_max,
                threads,
                control: &control,
                log: &log,
                cgroup: cgroup.as_ref(),
            }),
            (ToSpawner::Kill { worker }, None, None, _) => {
                self.workers.kill(worker);
                Ok(())
            }
            (ToSpawner::Jail { layers, privileged }, None, None, _) => {
                self.jail(&layers, privileged)
            }
            (ToSpawner::Attest { worker }, None, None, _) => {
                let result = self.workers.attest(worker, &self.outfit);
                let rollup = self.workers.pid(worker).and_then(report::open_rollup);
                let rollup: Vec<BorrowedFd<'_>> = rollup.iter().map(AsFd::as_fd).collect();
                self.send(&FromSpawner::Attested { worker, result }, &rollup)
            }
            (frame, ..) => Err(Exit::Protocol(format!(
                "{frame:?} with the wrong descriptors"
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

    fn jail(&mut self, layers: &[String], privileged: bool) -> Result<(), Exit> {
        if self.jailed {
            return Err(Refusal::Again { what: "Jail" }.into());
        }
        self.outfit.fix();
        jail::enter(layers, privileged)?;
        self.jailed = true;
        self.send(&FromSpawner::Jailed, &[])
    }

    fn spawn(&mut self, wanted: &Wanted<'_>) -> Result<(), Exit> {
        let worker = wanted.worker;
        let child = match self.workers.start(&self.outfit, wanted)? {
            Ok(child) => child,
            Err(why) => {
                let result = Err(why.to_string());
                return self.send(&FromSpawner::Spawned { worker, result }, &[]);
            }
        };
        let pid = child.pid.as_raw().unsigned_abs();
        let status = report::open_status(child.pid);
        let mut fds = vec![child.pidfd.as_fd()];
        fds.extend(status.iter().map(AsFd::as_fd));
        let result = Ok(Born { pid });
        let frame = FromSpawner::Spawned { worker, result };
        send(self.daemon, &frame, &fds)
    }

    /// A worker has ended: its descriptor is readable.
    fn reap(&mut self, worker: u32) -> Result<(), Exit> {
        let end = self.workers.reap(worker).map_err(system("waitpid"))?;
        end.map_or(Ok(()), |end| {
            self.send(&FromSpawner::Exited { worker, end }, &[])
        })
    }

    fn send(&self, frame: &FromSpawner, fds: &[BorrowedFd<'_>]) -> Result<(), Exit> {
        send(self.daemon, frame, fds)
    }
}

fn send(daemon: BorrowedFd<'_>, frame: &FromSpawner, fds: &[BorrowedFd<'_>]) -> Result<(), Exit> {
    let bytes = encode(frame).map_err(|e| system("writing a frame")(io::Error::other(e)))?;
    fds::send(daemon, &bytes, fds).map_err(broken)
}

fn broken(error: io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Exit::Clean,
        io::ErrorKind::InvalidData => Exit::Protocol(error.to_string()),
        _ => Exit::System("the daemon's socket", error),
    }
}
