//! A daemon of the bench's own, in a temporary directory; ended with all its workers when dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::procs::Placement;

const START_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Daemon {
    dir: TempDir,
    child: Child,
}

// === impl Daemon ===

impl Daemon {
    /// Starts the program of `programs` over these models, and waits until it listens.
    pub(crate) fn start(
        placement: Placement,
        programs: &Path,
        runtime: &Path,
        models: &Path,
    ) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("nn-daemon.toml");
        fs::write(
            &config,
            format!("[runtimes]\nonnxruntime = {runtime:?}\n[workers]\nthreads = 1\n"),
        )?;
        let log = File::create(dir.path().join("log"))?;
        let child = placement
            .command(programs.join("nn-daemon"))
            .arg("--config")
            .arg(&config)
            .arg("--runtime-dir")
            .arg(dir.path().join("run"))
            .arg("--state-dir")
            .arg(dir.path().join("state"))
            .arg("--model-repository")
            .arg(models)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("nn-daemon does not start")?;
        let mut daemon = Self { dir, child };
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(daemon.socket()).is_err() {
            let ended = daemon.child.try_wait()?.is_some();
            if ended || begun.elapsed() > START_MAX {
                let log = fs::read_to_string(daemon.dir.path().join("log"))?;
                bail!("nn-daemon does not listen:\n{log}");
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(daemon)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("run/nn.sock")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    /// When the daemon ends, its spawner does, and every worker with it.
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
