//! A machine of the test's own: a copy of the tree that `cargo xtask boot-tree` made, booted by systemd-nspawn. Its
//! systemd, users, processes, mounts, control groups and network are its own; it ends with its value, and its tree is
//! removed.

mod group;

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::unistd::geteuid;
use serde_json::Value;
use tempfile::TempDir;

use crate::paths::boot_tree;
use crate::proc::{children, is_running, kill, wait_until};
use crate::reply::{Begun, Reply};
use crate::run::Output;

use group::Group;

/// Longer than a boot takes on a busy machine.
const BOOT: Duration = Duration::from_secs(60);

/// Longer than any command in it takes, in seconds.
const COMMAND: &str = "60";

/// Longer than an inference takes on a busy machine, a restart of the daemon included.
const REQUEST: Duration = Duration::from_secs(30);

/// What nspawn of Debian 12 refuses to those it holds, though workers are walled in with it, and units' addresses filtered.
const WALLS: &str = "landlock_create_ruleset landlock_add_rule landlock_restrict_self bpf";

/// A tree, and what boots from it.
#[derive(Debug)]
pub struct Machine {
    dir: TempDir,
    /// Two machines in one control group would take each other's services for their own.
    group: Group,
    booted: Option<Child>,
}

/// Where a machine's files are, and how it is entered.
fn command(program: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the tests' machine")]
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

fn finish(command: &mut Command) -> Output {
    let output = command.output().expect("the command starts");
    Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// nspawn on a tree; what it is to do there is still to be said.
fn nspawn(tree: &Path, group: &Group) -> Command {
    let mut nspawn = group.command("systemd-nspawn");
    nspawn
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .args([
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--private-network",
        ])
        .arg(format!("--system-call-filter={WALLS}"))
        .arg(format!("--machine=nn-boot-{}", std::process::id()))
        .arg("--directory")
        .arg(tree);
    nspawn
}

/// Why nothing can be booted here.
fn cannot_boot() -> Option<String> {
    if !geteuid().is_root() {
        return Some("booting takes root".to_owned());
    }
    let tree = boot_tree();
    if !tree.is_dir() {
        return Some(format!(
            "not there: {}; `cargo xtask boot-tree` makes it",
            tree.display()
        ));
    }
    for program in ["systemd-nspawn", "nsenter", "timeout"] {
        if command(program).arg("--version").output().is_err() {
            return Some(format!(
                "{program} is not installed (Debian: apt-get install systemd-container)"
            ));
        }
    }
    let group = match Group::new() {
        Ok(group) => group,
        Err(error) => return Some(format!("no control group can be made: {error}")),
    };
    let mut trial = nspawn(&tree, &group);
    let trial = finish(trial.args(["--read-only", "--console=pipe", "/usr/bin/true"]));
    (trial.code != Some(0)).then(|| format!("systemd-nspawn does not work here: {}", trial.stderr))
}

// === impl Machine ===

impl Machine {
    /// A machine that is switched off; `None` where there can be none, and the reason is printed.
    ///
    /// # Panics
    /// When there is no room for it.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "a test says why it is skipped")]
    pub fn new() -> Option<Self> {
        if let Some(reason) = cannot_boot() {
            println!("skipped: {reason}");
            return None;
        }
        let dir = tempfile::Builder::new()
            .prefix("nn-boot-")
            .tempdir()
            .expect("a temporary directory");
        let tree = boot_tree().canonicalize().expect("a tree");
        let mut copy = command("cp");
        copy.args(["--archive", "--reflink=auto", "--no-target-directory"]);
        copy.arg(tree).arg(dir.path().join("root"));
        finish(&mut copy).success();
        let group = Group::new().expect("a control group");
        Some(Self {
            dir,
            group,
            booted: None,
        })
    }

    /// Its root directory, as seen from here.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Copies a file into it.
    ///
    /// # Panics
    /// When that fails.
    pub fn copy(&self, file: &Path, to: &str) {
        let to = self.root().join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().expect("a path of a file")).expect("a directory");
        fs::copy(file, &to).expect("a file to copy, and room for it");
    }

    /// Writes a file in it.
    ///
    /// # Panics
    /// When that fails.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a path of a file")).expect("a directory");
        fs::write(path, content).expect("a file in there");
    }

    /// Switches it on and waits until all that it starts has started.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn boot(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("console"))
            .expect("a log file");
        let mut nspawn = nspawn(&self.root(), &self.group);
        let child = nspawn
            .args(["--console=passive", "--boot"])
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn()
            .expect("nspawn starts");
        self.booted = Some(child);
        self.wait_up();
    }

    fn wait_up(&mut self) {
        wait_until("the machine is up", BOOT, || {
            let Some(leader) = self.leader() else {
                return false;
            };
            let state = finish(enter(leader).args(["systemctl", "is-system-running"]));
            ["running", "degraded"].contains(&state.stdout.trim())
        });
    }

    /// Its process 1, as seen from here.
    fn leader(&self) -> Option<u32> {
        let nspawn = self.booted.as_ref()?;
        // What nspawn starts first is a step on the way; process 1 is a child of nspawn's that is called so.
        children(nspawn.id()).into_iter().find(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "systemd"
        })
    }

    /// Shuts it down properly and switches it on again.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn reboot(&mut self) {
        self.run("systemctl reboot").success();
        let mut nspawn = self.booted.take().expect("a machine that is on");
        wait_until("the machine is down", BOOT, || !is_running(nspawn.id()));
        let ended = nspawn.wait().expect("a child of ours");
        // What nspawn leaves the reboot to whoever started it by.
        assert_eq!(ended.code(), Some(133));
        self.boot();
    }

    /// Runs a line of shell in it, as root.
    ///
    /// # Panics
    /// When it is switched off.
    #[must_use]
    pub fn run(&self, line: &str) -> Output {
        let leader = self.leader().expect("a machine that is on");
        finish(enter(leader).args(["/bin/bash", "-c", line]))
    }

    /// The same as one of its users.
    #[must_use]
    pub fn run_as(&self, user: &str, line: &str) -> Output {
        let leader = self.leader().expect("a machine that is on");
        let mut command = enter(leader);
        command.args(["setpriv", "--reuid", user, "--regid", user, "--init-groups"]);
        finish(command.args(["/bin/bash", "-c", line]))
    }

    /// What a command that succeeds prints, as JSON.
    ///
    /// # Panics
    /// When it fails, or prints none.
    #[must_use]
    pub fn json(&self, line: &str) -> Value {
        let output = self.run(line).ok();
        serde_json::from_str(&output.stdout).expect("JSON")
    }

    /// A property of a unit.
    #[must_use]
    pub fn property(&self, unit: &str, name: &str) -> String {
        let line = format!("systemctl show --value --property={name} {unit}");
        self.run(&line).ok().stdout.trim().to_owned()
    }

    /// What a unit has logged since the machine was switched on.
    #[must_use]
    pub fn journal(&self, unit: &str) -> String {
        let line = format!("journalctl --no-pager --boot --output=cat --unit={unit}");
        self.run(&line).ok().stdout
    }

    /// Connects to a port of its loopback interface.
    ///
    /// # Errors
    /// When nobody listens there.
    ///
    /// # Panics
    /// When it is switched off.
    pub fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let leader = self.leader().expect("a machine that is on");
        let network = File::open(format!("/proc/{leader}/ns/net"))?;
        // A socket belongs to the network that its thread was in when it was made.
        let visit = thread::Builder::new().name("visitor".to_owned());
        let visitor = visit.spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET)?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            TcpStream::connect_timeout(&address, Duration::from_secs(10))
        })?;
        visitor.join().expect("nothing in there panics")
    }

    /// Sends a request to a port of its loopback interface.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn post(&self, port: u16, target: &str, body: &[u8]) -> io::Result<Reply> {
        let connection = self.connect(port)?;
        connection.set_read_timeout(Some(REQUEST))?;
        connection.set_write_timeout(Some(REQUEST))?;
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut begun = Begun::over(connection);
        begun.send(&[head.as_bytes(), body].concat());
        Ok(begun.finish())
    }

    /// Waits for a condition that something in it is to meet, looking often; gives the time it took.
    ///
    /// # Panics
    /// When it is not met in time.
    pub fn wait(
        &self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Duration {
        let start = Instant::now();
        wait_until(what, within, || holds(self));
        start.elapsed()
    }
}

/// A command in all namespaces of a process, which is not waited for endlessly.
fn enter(leader: u32) -> Command {
    let mut enter = command("timeout");
    enter.args(["--kill-after=1", COMMAND, "nsenter", "--all", "--target"]);
    enter.arg(leader.to_string()).arg("--");
    enter
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    enter
}

impl Drop for Machine {
    #[expect(
        clippy::print_stdout,
        reason = "a failed test shows what its machine said"
    )]
    fn drop(&mut self) {
        if thread::panicking() && self.leader().is_some() {
            let said = self.run("journalctl --no-pager --boot --lines=120");
            println!("--- the machine's journal ---\n{}", said.stdout);
        }
        let leader = self.leader();
        let Some(mut nspawn) = self.booted.take() else {
            return;
        };
        // With its process 1 all of it ends; nspawn then leaves, after it has cleaned up.
        leader.into_iter().for_each(kill);
        let patience = Instant::now();
        while is_running(nspawn.id()) && patience.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(5));
        }
        kill(nspawn.id());
        let _ = nspawn.wait();
    }
}
