//! What the benches are called with, and how each of them begins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tempfile::TempDir;

use crate::daemon::{Daemon, Start};
use crate::models;
use crate::procs::{self, Noise, Placement};

/// What to measure with.
#[derive(Debug, Args)]
pub(crate) struct Setting {
    /// libonnxruntime.so, the one file for all that is measured.
    #[arg(long, value_name = "FILE")]
    pub(crate) runtime: PathBuf,
    /// A repository with the real models.
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// bench-wit.wasm and the other guests.
    #[arg(long, value_name = "DIR")]
    pub(crate) guests: PathBuf,
    /// nn-daemon, nn-spawner, nn-host, nn-worker and nn-worker-fake.
    #[arg(long, value_name = "DIR")]
    pub(crate) programs: PathBuf,
    /// A few rounds instead of many.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Has the kernel prefer what is measured to everything else, where others work on the machine; needs root.
    #[arg(long)]
    pub(crate) urgent: bool,
    /// How long to wait for others to leave the machine alone before each round, in seconds.
    #[arg(long, default_value_t = 20)]
    patience: u64,
}

// === impl Setting ===

impl Setting {
    /// Makes this process as urgent as it is to be, and a repository for each payload, named like its model.
    pub(crate) fn begin(&self) -> Result<TempDir> {
        if self.urgent {
            procs::make_urgent()?;
        }
        let dir = tempfile::tempdir()?;
        models::repositories(dir.path(), &self.models)?;
        Ok(dir)
    }

    /// The directories of the real models.
    pub(crate) fn real_models(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.models)? {
            let path = entry?.path();
            if path.join("1/model.onnx").is_file() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    pub(crate) fn noise(&self) -> Noise {
        Noise::new(Duration::from_secs(self.patience))
    }

    /// How a daemon over one repository is started.
    pub(crate) fn start<'a>(&'a self, placement: Placement, repository: &'a Path) -> Start<'a> {
        Start::new(placement, &self.programs, &self.runtime, repository)
    }

    /// A daemon over one repository, as it is by default.
    pub(crate) fn daemon(&self, placement: Placement, repository: &Path) -> Result<Daemon> {
        Daemon::start(&self.start(placement, repository))
    }

    /// Its name, for those who read the figures.
    pub(crate) fn framework(&self) -> String {
        let file = self.runtime.file_name().unwrap_or_default();
        format!("`{}`", file.display())
    }

    /// What they should know of how the machine was shared; empty where there is nothing to say.
    pub(crate) fn priority(&self) -> &'static str {
        if self.urgent {
            " What was measured had priority over everything else (SCHED_FIFO)."
        } else {
            ""
        }
    }
}
