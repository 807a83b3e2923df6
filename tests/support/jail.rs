//! The daemon's part towards one worker, by hand: the real spawner, any worker program, any layers and any filter.
//! For tests of the walls themselves. Every wait is bounded; whatever was started here ends with its value.

mod jailed;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use nix::unistd::{geteuid, pipe2};
use nn_sandbox::{Facts, Layer, Profile};
use nn_shm::fds;
use nn_worker_wire::{
    BUILD_ID, Born, FRAME_BYTES_MAX, FromSpawner, ToSpawner, ToWorker, Workers, decode, encode,
};
use tempfile::TempDir;

use crate::paths::program;

pub use jailed::{Ended, Jailed};

/// Longer than anything takes on a busy machine.
const PATIENCE_S: i64 = 60;

/// The first uid that root's spawner gives to workers.
const UID_FIRST: u32 = 1_900_000_000;

/// The unprivileged user of these tests.
const NOBODY: u32 = 65_534;

/// Who runs the spawner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Root: each worker gets a uid that nobody else has.
    Root,
    /// Somebody without privileges: workers have the same uid.
    Nobody,
}

/// How a worker is jailed.
#[derive(Clone, Debug)]
pub struct Jail {
    /// The profile's name: what is in the root, the limits, and which calls are answered in the kernel's place.
    pub profile: &'static str,
    /// The layers.
    pub layers: Vec<Layer>,
    /// The system call filter, as [`Profile::filter`] has it.
    pub filter: Vec<u64>,
    /// The memory budget.
    pub data_bytes_max: u64,
    /// Threads of the framework, and what may be started beyond the first thread.
    pub threads: u32,
}

/// A spawner, and what its workers are made of.
#[derive(Debug)]
pub struct Jailer {
    user: User,
    process: Child,
    socket: OwnedFd,
    /// Holds the spawner's program and the framework's library where an unprivileged user reaches them.
    folder: TempDir,
    library: PathBuf,
    next: u32,
}

/// A process that a worker should not reach; it does nothing, and may be looked at and signalled by its uid.
#[derive(Debug)]
pub struct Bystander(Child);

/// The ends of a socket: ours, which does not wait for ever, and theirs.
fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = fds::pair()?;
    setsockopt(&ours, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0))?;
    Ok((ours, theirs))
}

fn recv(socket: BorrowedFd<'_>, fds_max: usize) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut buffer = vec![0; FRAME_BYTES_MAX];
    let packet = fds::recv(socket, &mut buffer, fds_max)?;
    buffer.truncate(packet.len);
    Ok((buffer, packet.fds))
}

/// A command that runs as this user.
fn command(program: &Path, uid: Option<u32>) -> Command {
    let through = uid.filter(|_| geteuid().is_root());
    let starts = through.map_or(program, |_| Path::new("setpriv"));
    #[expect(clippy::disallowed_methods, reason = "programs under test")]
    let mut command = Command::new(starts);
    if let Some(uid) = through {
        let uid = uid.to_string();
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"]);
        command.arg(program);
    }
    command
}

// === impl User ===

impl User {
    /// Those that this process can act for: root for both, anybody else for one.
    #[must_use]
    pub fn all() -> Vec<Self> {
        if geteuid().is_root() {
            vec![Self::Root, Self::Nobody]
        } else {
            vec![Self::Nobody]
        }
    }

    /// The uid to run as, where that is not this process's.
    fn uid(self) -> Option<u32> {
        (self == Self::Nobody).then_some(NOBODY)
    }

    /// The uid of somebody whom its workers might take for one of them.
    fn neighbour(self) -> Option<u32> {
        match self {
            Self::Root => UID_FIRST.checked_add(1),
            Self::Nobody => Some(NOBODY),
        }
    }
}

// === impl Jail ===

impl Jail {
    /// These layers, with the profile's own filter.
    #[must_use]
    pub fn of(profile: &Profile, layers: &[Layer]) -> Self {
        Self {
            profile: profile.name,
            layers: layers.to_vec(),
            filter: profile.filter.to_vec(),
            data_bytes_max: 1 << 30,
            threads: 1,
        }
    }
}

// === impl Jailer ===

impl Jailer {
    /// A spawner of this user's, whose workers are of this program and are told of a framework's library that
    /// is none.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(worker: &str, user: User) -> Self {
        Self::try_start(worker, user, None).expect("the spawner starts")
    }

    /// The same with a real library.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn with_library(worker: &str, user: User, library: &Path) -> Self {
        Self::try_start(worker, user, Some(library)).expect("the spawner starts")
    }

    fn try_start(worker: &str, user: User, library: Option<&Path>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let spawner = folder.path().join("nn-spawner");
        fs::copy(program("nn-spawner"), &spawner)?;
        let place = folder.path().join("library.so");
        match library {
            Some(library) => fs::copy(library, &place).map(drop)?,
            None => fs::write(&place, b"no library")?,
        }
        let (socket, theirs) = pair()?;
        let mut command = command(&spawner, user.uid());
        let process = command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(theirs)
            .stdout(Stdio::null())
            .spawn()?;
        let jailer = Self {
            user,
            process,
            socket,
            folder,
            library: place,
            next: 1,
        };
        let file = File::open(program(worker))?;
        let uid_first = UID_FIRST;
        jailer.tell(&ToSpawner::Program { uid_first }, &[file.as_fd()])?;
        Ok(jailer)
    }

    /// The layers that cannot be had here, and why.
    ///
    /// # Panics
    /// When the spawner does not answer.
    #[must_use]
    pub fn missing(&self) -> Vec<(Layer, String)> {
        let mut facts = Facts::read();
        let user = Layer::UserNs.namespace().unwrap_or_default();
        for layer in Layer::ALL {
            let Some(flag) = layer.namespace() else {
                continue;
            };
            let namespaces = user | flag;
            self.tell(&ToSpawner::Try { namespaces }, &[])
                .expect("the spawner listens");
            let (bytes, _) = recv(self.socket.as_fd(), 0).expect("the spawner answers");
            if let Ok(FromSpawner::Tried {
                result: Err(why), ..
            }) = decode(&bytes)
            {
                facts.mark(layer, &why);
            }
        }
        let missing = |layer: Layer| Some((layer, facts.missing(layer)?.to_owned()));
        Layer::ALL.into_iter().filter_map(missing).collect()
    }

    /// Starts a worker in the jail's namespaces, and sends it Boot.
    ///
    /// # Panics
    /// When the spawner cannot.
    #[expect(clippy::panic, reason = "a test's helper fails with it")]
    pub fn boot(&mut self, jail: &Jail) -> Jailed<'_> {
        let id = self.next;
        self.next += 1;
        let (control, theirs) = pair().expect("a socket");
        let (interrupts, their_interrupts) = pair().expect("a socket");
        let (log, their_log) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        fcntl(&log, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a pipe's flags");
        let library = File::open(&self.library).expect("a library");
        let workers = ToSpawner::Workers(self.workers(jail));
        self.tell(&workers, &[library.as_fd()])
            .expect("the spawner listens");
        let frame = ToSpawner::Spawn {
            worker: id,
            backend: "onnxruntime".into(),
            data_bytes_max: jail.data_bytes_max,
            threads: jail.threads,
        };
        self.tell(&frame, &[theirs.as_fd(), their_log.as_fd()])
            .expect("the spawner listens");
        let (bytes, _) = recv(self.socket.as_fd(), 2).expect("the spawner answers");
        let Ok(FromSpawner::Spawned {
            result: Ok(Born { pid }),
            ..
        }) = decode(&bytes)
        else {
            panic!("expected Spawned, got {:?}", decode::<FromSpawner>(&bytes));
        };
        let jailed = Jailed {
            jailer: self,
            id,
            pid,
            control,
            interrupts,
            log: log.into(),
            ended: None,
        };
        let build_id = BUILD_ID.into();
        jailed.tell(&ToWorker::Boot { build_id }, &[their_interrupts.as_fd()]);
        jailed
    }

    fn workers(&self, jail: &Jail) -> Workers {
        let layers = jail.layers.iter();
        Workers {
            backend: "onnxruntime".into(),
            library: self.library.to_string_lossy().into_owned(),
            beside: Vec::new(),
            threads_max: jail.threads,
            profile: jail.profile.into(),
            layers: layers.map(|layer| layer.name().into()).collect(),
            data_bytes_max: jail.data_bytes_max,
            filter: jail.filter.clone(),
        }
    }

    /// The spawner's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A folder that this user reaches, gone with this value.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A process of a uid as near to the workers' as there is.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn bystander(&self) -> Bystander {
        let mut command = command(Path::new("/bin/cat"), self.user.neighbour());
        let silent = command.stdin(Stdio::piped()).stdout(Stdio::null());
        let child = silent.spawn().expect("cat starts");
        let bystander = Bystander(child);
        let name = || fs::read_to_string(format!("/proc/{}/comm", bystander.pid()));
        crate::wait_until(
            "the bystander is cat",
            std::time::Duration::from_secs(20),
            || name().is_ok_and(|name| name.trim() == "cat"),
        );
        bystander
    }

    fn tell(&self, frame: &ToSpawner, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = encode(frame).map_err(io::Error::other)?;
        fds::send(self.socket.as_fd(), &bytes, fds)
    }
}

impl Drop for Jailer {
    fn drop(&mut self) {
        // Its socket closes a moment later only; a spawner's end is its workers' end in any case.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// === impl Bystander ===

impl Bystander {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
