//! The two hosts that serve the same guest: `nn-host serve` in front of a daemon, and `inproc serve`, which computes in its own
//! process. Both have as many threads, and the same bounds on requests.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::faas::ask::{MODELS, NEIGHBOUR, VICTIM};
use crate::faas::client::Pool;
use crate::procs::Placement;

/// Compiling a guest, loading its models.
const START_MAX: Duration = Duration::from_secs(60);

/// Threads of the executor, of both.
pub(crate) const THREADS: &str = "2";

/// Requests at a time, of both; the default of nn-host.
pub(crate) const REQUESTS_MAX: usize = 64;

/// Of those, one tenant's, of both.
pub(crate) const TENANT_REQUESTS_MAX: usize = 32;

/// What both say once they listen.
const SERVING: &str = " on http://";

/// A host that serves; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

// === impl Server ===

impl Server {
    /// The host of this project, as it is by default.
    pub(crate) fn isolated(programs: &Path, guest: &Path, socket: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("site.toml");
        fs::write(&file, site(guest, socket))?;
        let mut command = Placement::Free.tied(&programs.join("nn-host"));
        command.args(["serve", "--no-cache", "--config"]).arg(file);
        Self::start(command, dir)
    }

    /// The peer. `repository`: where the models lie that it has by name, and what its guests see.
    pub(crate) fn in_process(
        program: &Path,
        runtime: &Path,
        guest: &Path,
        repository: &Path,
    ) -> Result<Self> {
        let mut command = Placement::Free.tied(program);
        command.arg("serve").arg("--runtime").arg(runtime);
        for model in MODELS {
            let file = repository.join(model.name).join("1/model.onnx");
            let pair = format!("{}={}", model.name, file.display());
            command.arg("--model").arg(pair);
        }
        command.arg("--dir").arg(repository);
        command.args(["--requests-max", &REQUESTS_MAX.to_string()]);
        for host in [VICTIM, NEIGHBOUR] {
            let share = format!("{host}={TENANT_REQUESTS_MAX}");
            command.arg("--share").arg(share);
        }
        command.arg(guest);
        Self::start(command, tempfile::tempdir()?)
    }

    fn start(mut command: Command, dir: TempDir) -> Result<Self> {
        let path = dir.path().join("log");
        let log = File::create(&path)?;
        let child = command
            .env("TOKIO_WORKER_THREADS", THREADS)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("a host does not start")?;
        let mut server = Self {
            child,
            address: ([0, 0, 0, 0], 0).into(),
            _dir: dir,
        };
        let begun = Instant::now();
        loop {
            let log = fs::read_to_string(&path)?;
            if let Some(address) = address(&log) {
                server.address = address;
                return Ok(server);
            }
            if server.child.try_wait()?.is_some() || begun.elapsed() > START_MAX {
                bail!("a host does not serve:\n{log}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// New connections to it.
    pub(crate) fn pool(&self) -> Rc<Pool> {
        Pool::new(self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// One guest for everybody, and a tenant for each of two names.
fn site(guest: &Path, socket: &Path) -> String {
    let models: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
    let mut text = format!(
        "listen = \"127.0.0.1:0\"\nsocket = {socket:?}\n[limits]\nrequests_max = {REQUESTS_MAX}\n"
    );
    for (tenant, host) in [
        ("default", None),
        ("a", Some(VICTIM)),
        ("b", Some(NEIGHBOUR)),
    ] {
        if let Some(host) = host {
            text += &format!(
                "[tenants.{tenant}]\nrequests_max = {TENANT_REQUESTS_MAX}\n[[routes]]\nhost = {host:?}\n"
            );
        } else {
            text += "[[routes]]\n";
        }
        text += &format!("component = {guest:?}\ntenant = {tenant:?}\nmodels = {models:?}\n");
    }
    text
}

/// Where it listens, once it says so; the line has to be whole.
fn address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once(SERVING)?;
    let (address, _) = rest.split_once('\n')?;
    address.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_listens_once_its_line_is_whole() {
        let whole = "INFO serving x on http://127.0.0.1:80\nmore\n";
        assert_eq!(address(whole), Some(([127, 0, 0, 1], 80).into()));
        assert_eq!(address("INFO serving x on http://127.0.0.1:8"), None);
        assert_eq!(address(""), None);
    }
}
