//! What the daemon says to the service manager that started it, and does at its word: readiness, signs of life that a
//! worker has earned, the reload of its configuration, the end.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers fail with it"
)]

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nn_tensor::Code;
use nn_tests::{
    Daemon, children, nnctl, openvino_library, require_backends, tiny_model, wait_until,
};

/// `WatchdogSec=`: the daemon looks at a worker three times as often.
const WATCHDOG_US: &str = "900000";

/// A few of those, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// A few times a start of OpenVINO, and a few of the longer intervals.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than the watchdog's interval.
const SILENCE: Duration = Duration::from_millis(1500);

/// The end of a service manager that hears.
struct Manager {
    socket: UnixDatagram,
    path: String,
    _dir: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self {
            socket,
            path: path.to_str().unwrap().to_owned(),
            _dir: dir,
        }
    }

    fn start(&self) -> Daemon {
        let watched = Daemon::builder().with_env("NOTIFY_SOCKET", &self.path);
        watched.with_env("WATCHDOG_USEC", WATCHDOG_US).start()
    }

    /// The next message, if one comes in time.
    fn next(&self, within: Duration) -> Option<String> {
        let within = within.max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut bytes = [0; 4096];
        match self.socket.recv(&mut bytes) {
            Ok(len) => Some(String::from_utf8(bytes[..len].to_vec()).unwrap()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits for a message with this in it.
    fn hear(&self, what: &str) -> String {
        let end = Instant::now() + SOON;
        let mut heard = Vec::new();
        while let Some(message) = self.next(end.saturating_duration_since(Instant::now())) {
            if message.contains(what) {
                return message;
            }
            heard.push(message);
        }
        panic!("no {what:?} among {heard:?}");
    }

    /// Forgets what has come, then says whether a sign of life comes before `within` is over.
    fn is_alive(&self, within: Duration) -> bool {
        while self.next(Duration::ZERO).is_some() {}
        let end = Instant::now() + within;
        let mut messages =
            std::iter::from_fn(|| self.next(end.saturating_duration_since(Instant::now())));
        messages.any(|message| message.contains("WATCHDOG=1"))
    }
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// The worker without a model: the only one of a daemon that has none.
fn canary(daemon: &Daemon) -> u32 {
    let mut workers = Vec::new();
    wait_until("the canary is there", SOON, || {
        workers = daemon.workers();
        workers.len() == 1
    });
    workers[0]
}

fn load(daemon: &Daemon, name: &str, arguments: &[&str]) {
    let model = tiny_model("add-f32");
    let command = ["load", name, model.to_str().unwrap()];
    nnctl(daemon, &[command.as_slice(), arguments].concat()).success();
}

#[test]
fn a_daemon_says_that_it_is_ready_then_that_it_lives_then_that_it_ends() {
    require_backends!();
    let manager = Manager::new();
    let mut daemon = manager.start();
    let ready = manager.hear("READY=1");
    assert!(ready.contains("STATUS=0 models ready"), "{ready}");
    manager.hear("WATCHDOG=1");
    load(&daemon, "foo", &[]);
    manager.hear("STATUS=1 model ready");
    assert!(manager.is_alive(SOON));
    assert!(daemon.terminate());
    manager.hear("STOPPING=1");
}

#[test]
fn a_worker_that_hangs_is_replaced_and_the_daemon_lives_on() {
    require_backends!();
    let manager = Manager::new();
    let daemon = manager.start();
    manager.hear("WATCHDOG=1");
    let hung = canary(&daemon);
    send(hung, Signal::SIGSTOP);
    let status = manager.hear("no worker computes");
    assert!(status.contains("nothing came within"), "{status}");
    assert!(manager.is_alive(SOON));
    assert_ne!(canary(&daemon), hung);
}

#[test]
fn a_spawner_that_hangs_ends_the_signs_of_life() {
    require_backends!();
    let manager = Manager::new();
    let daemon = manager.start();
    manager.hear("WATCHDOG=1");
    let spawner = children(daemon.pid())[0];
    send(spawner, Signal::SIGSTOP);
    manager.hear("no worker computes");
    assert!(!manager.is_alive(SILENCE));
    send(spawner, Signal::SIGCONT);
    assert!(manager.is_alive(SOON));
}

#[test]
fn a_canary_takes_no_models_place() {
    require_backends!();
    let manager = Manager::new();
    let watched = Daemon::builder().with_env("NOTIFY_SOCKET", &manager.path);
    let watched = watched.with_env("WATCHDOG_USEC", WATCHDOG_US);
    let daemon = watched.with_limits("workers_max = 1").start();
    manager.hear("WATCHDOG=1");
    load(&daemon, "foo", &[]);
    send(canary_beside_a_model(&daemon), Signal::SIGKILL);
    manager.hear("no worker computes");
    assert!(manager.is_alive(SOON));
}

#[test]
fn there_is_a_canary_of_each_framework_that_a_model_needs() {
    require_backends!();
    if !openvino_library().is_file() {
        return;
    }
    let manager = Manager::new();
    let watched = Daemon::builder().with_openvino().with_threads(2);
    let watched = watched.with_env("NOTIFY_SOCKET", &manager.path);
    // OpenVINO takes longer to be ready.
    let daemon = watched.with_env("WATCHDOG_USEC", "15000000").start();
    manager.hear("WATCHDOG=1");
    assert_eq!(daemon.workers().len(), 1, "the first framework's");
    load(&daemon, "foo", &["--backend", "openvino"]);
    let all = || daemon.workers().len() == 3;
    wait_until("a canary of OpenVINO is there", PATIENCE, all);
    assert!(manager.is_alive(PATIENCE));
    // The one that came last.
    send(daemon.workers().into_iter().max().unwrap(), Signal::SIGKILL);
    let status = manager.hear("no worker computes");
    assert!(
        status.contains("a worker of OpenVINO has not computed"),
        "{status}"
    );
    wait_until("another is there", PATIENCE, all);
    assert!(manager.is_alive(PATIENCE));
    nnctl(&daemon, &["unload", "foo"]).success();
    let first = || daemon.workers().len() == 1;
    wait_until("it goes with the last model that needs it", PATIENCE, first);
}

/// The older of two workers.
fn canary_beside_a_model(daemon: &Daemon) -> u32 {
    let workers = daemon.workers();
    assert_eq!(workers.len(), 2);
    workers.into_iter().min().unwrap()
}

#[test]
fn a_hangup_lets_in_whom_the_configuration_lets_in_now_and_nobody_else() {
    require_backends!();
    let manager = Manager::new();
    let uid = nix::unistd::Uid::effective();
    let tenants = format!("[tenants.default]\nuids = [{uid}]\n");
    let watched = Daemon::builder().with_env("NOTIFY_SOCKET", &manager.path);
    let daemon = watched.with_sections(&tenants).start();
    load(&daemon, "foo", &[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = daemon.client();
    assert!(runtime.block_on(client.resolve("foo")).is_ok());

    daemon.reconfigure(&format!("uids = [{uid}]"), "uids = [4000000000]");
    manager.hear("RELOADING=1");
    manager.hear("READY=1");
    // Also the session that was there has gone; its client learns of that a moment later.
    wait_until("the client is refused", SOON, || {
        let resolved = runtime.block_on(client.resolve("foo"));
        resolved.is_err_and(|fault| fault.code == Code::Security)
    });

    daemon.reconfigure("uids = [4000000000]", &format!("uids = [{uid}]"));
    manager.hear("READY=1");
    assert!(runtime.block_on(daemon.client().resolve("foo")).is_ok());
}

#[test]
fn a_broken_configuration_changes_nothing_and_is_told() {
    require_backends!();
    let manager = Manager::new();
    let daemon = Daemon::builder().with_env("NOTIFY_SOCKET", &manager.path);
    let daemon = daemon.start();
    daemon.reconfigure("[limits]", "[limits]\nno_such_limit = 1");
    let told = manager.hear("the last reload failed");
    assert!(told.contains("READY=1"), "{told}");
    assert!(daemon.log().contains("no_such_limit"), "{}", daemon.log());
    load(&daemon, "foo", &[]);
}

#[test]
fn a_key_that_holds_only_after_a_restart_is_named() {
    let manager = Manager::new();
    let daemon = Daemon::builder().with_env("NOTIFY_SOCKET", &manager.path);
    let daemon = daemon.start();
    manager.hear("READY=1");
    daemon.reconfigure("[limits]", "[limits]\nsessions_max = 3");
    manager.hear("READY=1");
    let log = daemon.log();
    assert!(
        log.contains("in force only after a restart: limits.sessions_max"),
        "{log}"
    );
}

#[test]
fn a_hangup_takes_in_what_is_new_in_a_repository_and_raises_the_current_version() {
    require_backends!();
    let manager = Manager::new();
    let repository = tempfile::tempdir().unwrap();
    put(repository.path(), "1");
    let watched = Daemon::builder().with_env("NOTIFY_SOCKET", &manager.path);
    let daemon = watched.with_repository(repository.path()).start();
    manager.hear("READY=1");
    put(repository.path(), "2");
    send(daemon.pid(), Signal::SIGHUP);
    manager.hear("READY=1");
    wait_until("version 2 is current", SOON, || current(&daemon) == Some(2));

    // What an operator has taken away stays away, also when somebody reloads for another reason.
    nnctl(&daemon, &["unload", "foo@2"]).success();
    send(daemon.pid(), Signal::SIGHUP);
    manager.hear("RELOADING=1");
    manager.hear("READY=1");
    assert!(!versions(&daemon).contains(&2), "{:?}", versions(&daemon));
}

fn models(daemon: &Daemon) -> Vec<serde_json::Value> {
    let list = nnctl(daemon, &["--json", "list"]).ok().stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    list["models"].as_array().cloned().unwrap_or_default()
}

fn versions(daemon: &Daemon) -> Vec<u64> {
    let models = models(daemon);
    let numbers = models
        .iter()
        .map(|model| model["version"].as_u64().unwrap());
    numbers.collect()
}

fn current(daemon: &Daemon) -> Option<u64> {
    let models = models(daemon);
    let model = models.iter().find(|model| model["current"] == true)?;
    model["version"].as_u64()
}

fn put(repository: &Path, version: &str) {
    let dir = repository.join("foo").join(version);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(tiny_model("add-f32"), dir.join("model.onnx")).unwrap();
}
