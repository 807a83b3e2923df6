//! A daemon of the test's own: in a temporary directory, killed with everything below it when dropped.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nn_client::Client;
use nn_tensor::Tenant;
use tempfile::TempDir;

use crate::door::KeptDoor;
use crate::paths::{copy, model_repository, openvino_if, program, runtime_library};
use crate::proc::{descendants, is_running, kill, send, wait_until};

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(20);

/// How a daemon is to be started.
#[derive(Debug, Default)]
pub struct DaemonBuilder {
    openvino: bool,
    repositories: Vec<PathBuf>,
    worker: Option<&'static str>,
    workers: String,
    config: String,
    sections: String,
    arguments: Vec<&'static str>,
    nobody: bool,
    threads: Option<u32>,
    environment: Vec<(&'static str, String)>,
    kept: bool,
    state: Option<PathBuf>,
}

/// The uid that [`DaemonBuilder::as_nobody`] runs as.
const NOBODY: u32 = 65_534;

/// How `nn-daemon` is called, from the start and again.
#[derive(Clone, Debug)]
struct Call {
    program: PathBuf,
    arguments: Vec<&'static str>,
    environment: Vec<(&'static str, String)>,
    repositories: Vec<PathBuf>,
    nobody: bool,
    state: PathBuf,
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    dir: TempDir,
    call: Call,
    child: Child,
    door: Option<KeptDoor>,
}

impl DaemonBuilder {
    /// Serves the real models that `cargo xtask setup` has fetched.
    #[must_use]
    pub fn with_real_models(self) -> Self {
        self.with_repository(&model_repository())
    }

    /// Serves what lies in a directory, NAME/VERSION/model.onnx.
    #[must_use]
    pub fn with_repository(mut self, dir: &Path) -> Self {
        self.repositories.push(dir.to_owned());
        self
    }

    /// Runs another program as worker.
    #[must_use]
    pub fn with_worker(mut self, name: &'static str) -> Self {
        self.worker = Some(name);
        self
    }

    /// Adds lines to `[workers]`.
    #[must_use]
    pub fn with_workers(mut self, lines: &str) -> Self {
        self.workers = format!("{}\n{lines}", self.workers);
        self
    }

    /// Adds lines to `[limits]`.
    #[must_use]
    pub fn with_limits(mut self, lines: &str) -> Self {
        self.config = format!("{}\n{lines}", self.config);
        self
    }

    /// Adds sections to the configuration file.
    #[must_use]
    pub fn with_sections(mut self, text: &str) -> Self {
        self.sections.push_str(text);
        self
    }

    /// With OpenVINO besides ONNX Runtime. Not with [`as_nobody`](Self::as_nobody), who does not reach it.
    #[must_use]
    pub fn with_openvino(mut self) -> Self {
        self.openvino = true;
        self
    }

    /// Gives workers so many threads.
    #[must_use]
    pub fn with_threads(mut self, threads: u32) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Adds a flag.
    #[must_use]
    pub fn with_flag(mut self, flag: &'static str) -> Self {
        self.arguments.push(flag);
        self
    }

    /// Sets a variable in its environment.
    #[must_use]
    pub fn with_env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Keeps its sockets for it, as a service manager does: they listen from now on, also while it is away.
    #[must_use]
    pub fn with_kept_sockets(mut self) -> Self {
        self.kept = true;
        self
    }

    /// Runs it as a user without any rights, from copies of its programs that this user may read. For tests
    /// that run as root.
    #[must_use]
    pub fn as_nobody(mut self) -> Self {
        self.nobody = true;
        self
    }

    /// Keeps uploaded models elsewhere.
    #[must_use]
    pub fn with_state_dir(mut self, dir: &Path) -> Self {
        self.state = Some(dir.to_owned());
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start(self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_ready(0);
        daemon
    }

    /// Starts it and waits until it ends, which it is expected to do; gives its status and its log.
    ///
    /// # Panics
    /// When it lives on.
    #[must_use]
    pub fn start_and_end(self) -> (Option<i32>, String) {
        let mut daemon = self.spawn();
        wait_until("the daemon ends", STOP, || !is_running(daemon.pid()));
        let status = daemon.child.wait().expect("a child of ours");
        (status.code(), daemon.log())
    }

    fn spawn(self) -> Daemon {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let take = |path: PathBuf| {
            if self.nobody {
                copy(&path, dir.path())
            } else {
                path
            }
        };
        take(program("nn-spawner"));
        let worker = take(program(self.worker.unwrap_or("nn-worker")));
        // Tests count workers: one that comes by itself after ten seconds is for those that ask for it.
        let more = ["\nprepared_bytes_max = 0", ""][usize::from(self.config.contains("prepare"))];
        let config = format!(
            "[runtimes]\nonnxruntime = {:?}\nopenvino = {:?}\n[workers]\nprogram = {worker:?}\nthreads = {}{}\n[limits]{more}{}\n{}",
            take(runtime_library()),
            openvino_if(self.openvino),
            self.threads.unwrap_or(1),
            self.workers,
            self.config,
            self.sections,
        );
        fs::write(dir.path().join("nn-daemon.toml"), config).expect("a file in there");
        let call = Call {
            program: take(program("nn-daemon")),
            arguments: self.arguments,
            environment: self.environment,
            repositories: self.repositories,
            nobody: self.nobody,
            state: self.state.unwrap_or_else(|| dir.path().join("state")),
        };
        if call.nobody {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("a test that runs as root");
        }
        let door = self
            .kept
            .then(|| KeptDoor::open(&dir.path().join("run")).expect("two sockets"));
        let child = spawn(dir.path(), &call, door.as_ref());
        Daemon {
            dir,
            call,
            child,
            door,
        }
    }
}

fn spawn(dir: &Path, call: &Call, door: Option<&KeptDoor>) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .expect("a log file");
    #[expect(clippy::disallowed_methods, reason = "the tests' daemon")]
    let mut command = if let Some(door) = door {
        door.command(&call.program).expect("two sockets to pass")
    } else if call.nobody {
        let mut command = Command::new("setpriv");
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
        command.arg(&call.program);
        command
    } else {
        Command::new(&call.program)
    };
    command.args(&call.arguments);
    command.envs(call.environment.iter().map(|(name, value)| (name, value)));
    command.arg("--config").arg(dir.join("nn-daemon.toml"));
    command
        .arg("--runtime-dir")
        .arg(dir.join("run"))
        .arg("--state-dir")
        .arg(&call.state);
    for repository in &call.repositories {
        command.arg("--model-repository").arg(repository);
    }
    if door.is_none() {
        command.stdin(Stdio::null()).stdout(Stdio::null());
    }
    command.arg("-v").stderr(log);
    command.spawn().expect("nn-daemon starts")
}

impl Daemon {
    /// A daemon without models.
    #[must_use]
    pub fn start() -> Self {
        DaemonBuilder::default().start()
    }

    /// Another way to start one.
    #[must_use]
    pub fn builder() -> DaemonBuilder {
        DaemonBuilder::default()
    }

    /// Its gRPC socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/nn.sock")
    }

    /// Where it keeps uploaded models.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.call.state.clone()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// A client of the default tenant.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.socket(), Tenant::default())
    }

    /// Loads a model file under a name, by nnctl.
    ///
    /// # Panics
    /// When that fails.
    pub fn load(&self, name: &str, path: &Path) {
        let path = path.to_str().expect("a path in UTF-8");
        crate::nnctl(self, &["load", name, path]).success();
    }

    /// Kills it by SIGKILL and waits for its end.
    pub fn kill(&mut self) {
        kill(self.pid());
        let _ = self.child.wait();
    }

    /// Replaces a part of its configuration file, and has it reload (SIGHUP).
    ///
    /// # Panics
    /// When that part is not in there.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let path = self.dir.path().join("nn-daemon.toml");
        let text = fs::read_to_string(&path).expect("its file");
        assert!(text.contains(from), "{from:?} is not in {text}");
        fs::write(&path, text.replacen(from, to, 1)).expect("its file");
        send(self.pid(), Signal::SIGHUP);
    }

    /// Asks it to end by SIGTERM and does not wait for that.
    pub fn ask_to_end(&self) {
        send(self.pid(), Signal::SIGTERM);
    }

    /// Starts it again in the same directories. Where its sockets are kept, it may not be ready yet.
    pub fn restart(&mut self) {
        let before = self.times_ready();
        self.child = spawn(self.dir.path(), &self.call, self.door.as_ref());
        self.wait_ready(before);
    }

    /// Ends it by SIGTERM; says whether it left in time and without an error.
    pub fn terminate(&mut self) -> bool {
        send(self.pid(), Signal::SIGTERM);
        wait_until("the daemon ends", STOP, || !is_running(self.pid()));
        self.child.wait().is_ok_and(|status| status.success())
    }

    #[expect(
        clippy::print_stdout,
        reason = "a test says that this machine cannot jail workers"
    )]
    fn wait_ready(&mut self, before: usize) {
        const FLAG: &str = "--allow-degraded";
        let socket = self.socket();
        wait_until("the daemon listens", START, || {
            let mut ended = self.child.try_wait().ok().flatten();
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let unjailed = log.contains("cannot jail a worker as profile");
            if ended.is_some() && unjailed && !self.call.arguments.contains(&FLAG) {
                println!("without a whole jail: {log}");
                self.call.arguments.push(FLAG);
                self.child = spawn(self.dir.path(), &self.call, self.door.as_ref());
                ended = None;
            }
            assert!(ended.is_none(), "the daemon ended: {ended:?}\n{log}");
            let listens = std::os::unix::net::UnixStream::connect(&socket).is_ok();
            // It listens a moment before it has all that it keeps: what a test counts must not begin there.
            listens && (self.door.is_some() || self.times_ready() > before)
        });
    }

    /// How many daemons in these directories have said that they are ready.
    fn times_ready(&self) -> usize {
        let ready = |line: &&str| line.contains("nn-daemon") && line.contains("is ready");
        self.log().lines().filter(ready).count()
    }
}

impl Drop for Daemon {
    #[expect(clippy::print_stdout, reason = "a failed test shows its daemon's log")]
    fn drop(&mut self) {
        let below = descendants(self.pid());
        send(self.pid(), Signal::SIGTERM);
        let patience = std::time::Instant::now();
        while is_running(self.pid()) && patience.elapsed() < STOP {
            std::thread::sleep(Duration::from_millis(5));
        }
        for pid in below
            .into_iter()
            .chain([self.pid()])
            .filter(|&pid| is_running(pid))
        {
            kill(pid);
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- the daemon's log ---\n{}", self.log());
        }
    }
}
