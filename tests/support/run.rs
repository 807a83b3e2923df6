//! Programs run to their end, with what they printed.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::daemon::Daemon;
use crate::paths::{cache, program};

/// How a program ended, and what it printed.
#[derive(Debug)]
pub struct Output {
    /// Exit status; `None` when it was killed.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Output {
    /// Demands success.
    ///
    /// # Panics
    /// When the program failed.
    #[must_use]
    pub fn ok(self) -> Self {
        assert_eq!(
            self.code,
            Some(0),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Demands success, and nothing more.
    pub fn success(self) {
        let _ = self.ok();
    }
}

/// A command for a program of the workspace.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn command(name: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "programs under test")]
    prepared(Command::new(program(name)))
}

/// The same for any command that becomes such a program.
pub(crate) fn prepared(mut command: Command) -> Command {
    command
        .stdin(Stdio::null())
        // Guests are compiled once for all tests, and not where the user keeps theirs.
        .env("XDG_CACHE_HOME", cache())
        .env_remove("CACHE_DIRECTORY");
    command
}

/// Runs a program of the workspace.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn run(name: &str, args: &[&str]) -> Output {
    finish(command(name).args(args))
}

/// The same, with a directory of its own for temporary files.
#[must_use]
pub fn run_in(temporary: &Path, name: &str, args: &[&str]) -> Output {
    finish(command(name).args(args).env("TMPDIR", temporary))
}

/// Runs a script by a program that is none of ours.
#[must_use]
pub fn run_script(program: &Path, script: &Path, args: &[&str]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "others' programs against ours")]
    let mut command = prepared(Command::new(program));
    finish(command.arg("-B").arg(script).args(args))
}

fn finish(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `nnctl` against a daemon.
#[must_use]
pub fn nnctl(daemon: &Daemon, args: &[&str]) -> Output {
    let socket = daemon.socket();
    let socket = socket.to_str().expect("a path in UTF-8");
    run("nnctl", &[&["--socket", socket], args].concat())
}

/// Runs a guest by `nn-host run` against a daemon; the fetched data is mounted at `/data`.
#[must_use]
pub fn nn_host(daemon: &Daemon, guest: &str, args: &[&str]) -> Output {
    nn_host_with(daemon, &[], &crate::guest_wasm(guest), args)
}

/// The same with flags of nn-host's own, for any guest's file; the models are mounted at `/models`.
#[must_use]
pub fn nn_host_with(daemon: &Daemon, flags: &[&str], guest: &Path, args: &[&str]) -> Output {
    let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let (socket, guest) = (text(&daemon.socket()), text(guest));
    let data = format!("{}::/data", text(&crate::paths::data()));
    let models = format!("{}::/models", text(&crate::paths::model_repository()));
    let given = ["run", "--socket", &socket, "--dir", &data, "--dir", &models];
    run("nn-host", &[&given, flags, &[&guest], args].concat())
}
