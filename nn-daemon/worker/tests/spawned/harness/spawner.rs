//! The real spawner, and what its workers are made of.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use nn_sandbox::{Facts, Layer, Plan, Profile};
use nn_shm::{BlobDraft, fds};
use nn_worker_wire::{Born, End, FromSpawner, ToSpawner, Workers, decode, encode};

use super::{Worker, pair, program, recv};

/// Uids that nobody has.
const UID_FIRST: u32 = 1_900_000_000;

/// The memory budget of workers, and the most that one may get.
pub(crate) const BUDGET: u64 = 1 << 30;

/// The most threads of a worker's framework, and what workers here have.
pub(crate) const THREADS: u32 = 1;

pub(crate) struct Spawner {
    process: Child,
    socket: OwnedFd,
}

/// The jail as this machine can give it.
fn plan() -> Plan {
    Plan::new(Profile::named("worker-ort").unwrap(), &Facts::read())
}

/// What workers are made of here, unless a test says otherwise.
pub(crate) fn workers() -> Workers {
    let plan = plan();
    let layers = plan.active().into_iter();
    Workers {
        backend: "onnxruntime".into(),
        library: "/nowhere.so".into(),
        beside: Vec::new(),
        threads_max: THREADS,
        profile: plan.profile.name.into(),
        layers: layers.map(|layer| layer.name().into()).collect(),
        data_bytes_max: BUDGET,
        filter: plan.profile.filter.to_vec(),
    }
}

// === impl Spawner ===

impl Spawner {
    /// A spawner whose workers are of this program, in all layers that there are, and have a framework's library that is
    /// none.
    #[expect(clippy::disallowed_methods, reason = "a test starts the spawner")]
    pub(crate) fn start(worker: &Path) -> Self {
        let (socket, theirs) = pair();
        let process = Command::new(program("nn-spawner"))
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let spawner = Self { process, socket };
        let file = File::open(worker).unwrap();
        let program = ToSpawner::Program {
            uid_first: UID_FIRST,
        };
        spawner.tell(&program, &[file.as_fd()]);
        spawner.tell_workers(&workers(), &mut &b"no library"[..]);
        spawner
    }

    /// Its workers from now on are made of this.
    pub(crate) fn tell_workers(&self, workers: &Workers, library: &mut impl Read) {
        let mut file = BlobDraft::new(0).unwrap();
        std::io::copy(library, file.file()).unwrap();
        let file = file.file();
        self.tell(&ToSpawner::Workers(workers.clone()), &[file.as_fd()]);
    }

    /// They have this library.
    pub(crate) fn with_library(self, library: &Path) -> Self {
        let workers = Workers {
            library: library.to_str().unwrap().into(),
            ..workers()
        };
        self.tell_workers(&workers, &mut File::open(library).unwrap());
        self
    }

    pub(crate) fn fake() -> Self {
        Self::start(&program("nn-worker-fake"))
    }

    /// Its workers from now on get no jail.
    pub(crate) fn unjailed(self) -> Self {
        let workers = Workers {
            layers: Vec::new(),
            ..workers()
        };
        self.tell_workers(&workers, &mut &b"no library"[..]);
        self
    }

    /// In its own jail, as the daemon has it before a client is heard.
    pub(crate) fn in_jail(self) -> Self {
        let layers = [Layer::NoNewPrivs, Layer::Seccomp];
        let layers = layers.map(|layer| layer.name().to_owned()).into();
        let privileged = false;
        self.tell(&ToSpawner::Jail { layers, privileged }, &[]);
        assert_eq!(self.hear(), FromSpawner::Jailed);
        self
    }

    pub(crate) fn hear(&self) -> FromSpawner {
        decode(&recv(self.socket.as_fd()).0).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn tell(&self, frame: &ToSpawner, fds: &[BorrowedFd<'_>]) {
        fds::send(self.socket.as_fd(), &encode(frame).unwrap(), fds).unwrap();
    }

    pub(crate) fn spawn(&self, id: u32) -> Worker {
        let (control, theirs) = pair();
        let (log, log_theirs) = std::io::pipe().unwrap();
        let frame = ToSpawner::Spawn {
            worker: id,
            backend: "onnxruntime".into(),
            data_bytes_max: BUDGET,
            threads: THREADS,
        };
        self.tell(&frame, &[theirs.as_fd(), log_theirs.as_fd()]);
        let (bytes, mut fds) = recv(self.socket.as_fd());
        let Ok(FromSpawner::Spawned {
            worker,
            result: Ok(Born { pid }),
        }) = decode(&bytes)
        else {
            panic!("expected Spawned");
        };
        assert_eq!((worker, fds.len()), (id, 2));
        Worker {
            id,
            pid,
            pidfd: fds.remove(0),
            control,
            interrupts: pair(),
            log: OwnedFd::from(log).into(),
        }
    }

    /// Which worker has ended, and how.
    pub(crate) fn exited(&self) -> (u32, End) {
        match self.hear() {
            FromSpawner::Exited { worker, end } => (worker, end),
            other => panic!("expected Exited, got {other:?}"),
        }
    }

    /// Closes the connection; gives how the spawner ended.
    pub(crate) fn close(self) -> ExitStatus {
        let Self {
            mut process,
            socket,
        } = self;
        drop(socket);
        process.wait().unwrap()
    }

    /// How the spawner ends by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    /// The status that the spawner ends with by itself, and what it says then.
    pub(crate) fn refused(self) -> (Option<i32>, String) {
        let output = self.process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }
}
