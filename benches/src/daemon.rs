//! A daemon of the bench's own, in a temporary directory; ended with all its workers when dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::procs::{self, Placement};

const START_MAX: Duration = Duration::from_secs(30);

/// What a daemon is started with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    placement: Placement,
    programs: &'a Path,
    runtime: &'a Path,
    models: &'a Path,
    /// The program of its workers, of `programs` too.
    pub(crate) worker: &'a str,
    /// Layers of the jail that its workers do without.
    pub(crate) without: &'a [String],
    /// Whether a second worker waits beside the one that serves.
    pub(crate) warm_spare: bool,
    /// The other framework's library; of no file for none.
    pub(crate) openvino: &'a Path,
    /// What outlives it; else it has a directory of its own.
    pub(crate) state: Option<&'a Path>,
    /// Lines of `[limits]`.
    pub(crate) limits: &'a str,
    /// Further lines of `[workers]`.
    pub(crate) workers: &'a str,
    /// Whether it logs each compute.
    pub(crate) verbose: bool,
}

#[derive(Debug)]
pub(crate) struct Daemon {
    dir: TempDir,
    child: Child,
}

// === impl Start ===

impl<'a> Start<'a> {
    /// The program of `programs` over these models, as it is by default.
    pub(crate) fn new(
        placement: Placement,
        programs: &'a Path,
        runtime: &'a Path,
        models: &'a Path,
    ) -> Self {
        Self {
            placement,
            programs,
            runtime,
            models,
            worker: "nn-worker",
            without: &[],
            warm_spare: false,
            openvino: Path::new("/nowhere/libopenvino_c.so"),
            state: None,
            limits: "",
            workers: "",
            verbose: false,
        }
    }

    fn config(&self) -> String {
        let worker = self.programs.join(self.worker);
        format!(
            "[runtimes]\nonnxruntime = {:?}\nopenvino = {:?}\n[workers]\nprogram = {worker:?}\nthreads = 1\nwarm_spare = {}\n{}\n[sandbox]\nwithout = {:?}\n[limits]\n{}\n",
            self.runtime, self.openvino, self.warm_spare, self.workers, self.without, self.limits
        )
    }
}

// === impl Daemon ===

impl Daemon {
    /// Starts it and waits until it listens.
    pub(crate) fn start(start: &Start<'_>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("nn-daemon.toml");
        fs::write(&config, start.config())?;
        let log = File::create(dir.path().join("log"))?;
        let degraded = !start.without.is_empty();
        let child = start
            .placement
            .tied(&start.programs.join("nn-daemon"))
            .arg("--config")
            .arg(&config)
            .arg("--runtime-dir")
            .arg(dir.path().join("run"))
            .arg("--state-dir")
            .arg(
                start
                    .state
                    .map_or_else(|| dir.path().join("state"), Path::to_owned),
            )
            .arg("--model-repository")
            .arg(start.models)
            .args(degraded.then_some("--allow-degraded"))
            .args(start.verbose.then_some("-v"))
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
                bail!("nn-daemon does not listen:\n{}", daemon.log()?);
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

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.dir.path().join("log"))?)
    }

    /// Its workers: what its spawner has started.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let family = procs::family(self.pid());
        family.get(2..).unwrap_or_default().to_vec()
    }
}

impl Drop for Daemon {
    /// When the daemon ends, its spawner does, and every worker with it.
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
