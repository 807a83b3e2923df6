//! A guest in `nn-host` that answers a line for each line that it is given.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::daemon::Daemon;
use crate::paths::guest_wasm;
use crate::run::command;

/// Ended with its host when it is dropped.
#[derive(Debug)]
pub struct Talking {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Talking {
    /// Runs a guest over a daemon. What it writes to stderr is dropped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(daemon: &Daemon, guest: &str, arguments: &[&str]) -> io::Result<Self> {
        let mut host = command("nn-host");
        host.args(["run", "--socket"]).arg(daemon.socket());
        host.arg(guest_wasm(guest)).args(arguments);
        let piped = host.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::null()).spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    /// The `hold` of the guest of cases: it computes once for each line, in one context. Returns once it is ready.
    ///
    /// # Errors
    /// When it cannot be started, or says something else.
    pub fn hold(daemon: &Daemon, model: &str, inputs: &[&str]) -> io::Result<Self> {
        let mut held = Self::start(
            daemon,
            "wit-cases",
            &[&["hold", model, "0"], inputs].concat(),
        )?;
        match held.line()?.as_str() {
            "ok ready" => Ok(held),
            said => Err(io::Error::other(said.to_owned())),
        }
    }

    /// The host's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives it a line.
    ///
    /// # Errors
    /// When it has ended.
    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.stdin, "{line}")
    }

    /// The next line that it says, without its end; empty once it has ended.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Both.
    ///
    /// # Errors
    /// As theirs.
    pub fn ask(&mut self, line: &str) -> io::Result<String> {
        self.tell(line)?;
        self.line()
    }

    /// Kills the host.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
