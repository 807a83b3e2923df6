//! A program that goes on printing, and what it has printed so far. It ends with this.

use std::fs::{self, File};
use std::process::Child;

use crate::daemon::Daemon;
use crate::run::command;

/// One.
#[derive(Debug)]
pub struct Follower {
    child: Child,
    printed: tempfile::NamedTempFile,
}

impl Follower {
    /// `nnctl` against a daemon.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn nnctl(daemon: &Daemon, args: &[&str]) -> Self {
        let printed = tempfile::NamedTempFile::new().expect("a file");
        let to: File = printed.reopen().expect("the same file");
        let mut command = command("nnctl");
        command.arg("--socket").arg(daemon.socket()).args(args);
        let child = command.stdout(to).spawn().expect("nnctl starts");
        Self { child, printed }
    }

    /// What it has printed.
    #[must_use]
    pub fn printed(&self) -> String {
        fs::read_to_string(self.printed.path()).unwrap_or_default()
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
