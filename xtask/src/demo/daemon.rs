//! A daemon of our own: started in a folder of its own, stopped politely, and looked after for what it left behind.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::tail;
use crate::process;

const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// Folders of the daemon that must be empty when it has stopped.
const EMPTIED: [&str; 2] = ["run", "tmp"];

/// A running daemon; killed if it is dropped before it was stopped.
pub(crate) struct Daemon {
    child: Child,
    folder: PathBuf,
}

// === impl Daemon ===

impl Daemon {
    /// Starts it, and waits until its socket answers.
    ///
    /// # Errors
    /// When it cannot start, ends, or does not listen in time; with its last words.
    pub(crate) fn start(program: &Path, folder: &Path, models: &Path) -> Result<Self> {
        for name in ["run", "state", "tmp"] {
            fs::create_dir_all(folder.join(name))?;
        }
        let log = fs::File::create(folder.join("daemon.log"))?;
        let mut command = process::command(program);
        command
            .arg("--runtime-dir")
            .arg(folder.join("run"))
            .arg("--state-dir")
            .arg(folder.join("state"))
            .arg("--model-repository")
            .arg(models)
            .env("TMPDIR", folder.join("tmp"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        let mut daemon = Self {
            child,
            folder: folder.to_path_buf(),
        };
        daemon
            .wait_for_socket()
            .with_context(|| format!("the daemon said:\n{}", daemon.last_words()))?;
        Ok(daemon)
    }

    /// Where clients connect.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("run/nn.sock")
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        tail(&self.folder.join("daemon.log"), 30)
    }

    /// Asks it to stop as a service manager does, and checks that nothing is left.
    ///
    /// # Errors
    /// When it does not stop in time, fails, or leaves a process, a socket or a file.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let family = descendants(self.child.id());
        let mut kill = process::command("sh");
        kill.args(["-c", &format!("kill -TERM {}", self.child.id())]);
        process::run(&mut kill)?;
        let status = self.wait(STOP_MAX)?;
        if !status.success() {
            bail!("the daemon was asked to stop, and ended with {status}");
        }
        let deadline = Instant::now() + Duration::from_secs(1);
        while family.iter().any(is_alive) {
            if Instant::now() >= deadline {
                let left: Vec<String> = family
                    .iter()
                    .filter(|member| is_alive(*member))
                    .map(name)
                    .collect();
                bail!("the daemon left processes behind: {}", left.join(", "));
            }
            std::thread::sleep(POLL);
        }
        for folder in EMPTIED {
            if let Some(entry) = fs::read_dir(self.folder.join(folder))?.next() {
                bail!("the daemon left {} behind", entry?.path().display());
            }
        }
        Ok(())
    }

    fn wait_for_socket(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_MAX;
        while UnixStream::connect(self.socket()).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended with {status} before it listened");
            }
            if Instant::now() >= deadline {
                bail!("the daemon did not listen within {} s", START_MAX.as_secs());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn wait(&mut self, time_max: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + time_max;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!(
                    "the daemon did not stop within {} s of SIGTERM",
                    time_max.as_secs()
                );
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail when it has ended, which is the usual case.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What /proc/PID/stat says of a process that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat {
    name: String,
    state: char,
    parent: u32,
    started: u64,
}

/// All processes below one, with what tells each from a later one of the same number.
fn descendants(ancestor: u32) -> BTreeMap<u32, Stat> {
    let everyone: BTreeMap<u32, Stat> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, stat(pid)?)))
        .collect();
    let mut family = BTreeMap::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        for (pid, stat) in everyone.iter().filter(|(_, stat)| stat.parent == parent) {
            if family.insert(*pid, stat.clone()).is_none() {
                parents.push(*pid);
            }
        }
    }
    family
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// proc(5): `PID (NAME) STATE PPID …`, the start time is field 22. A name may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (head, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split_whitespace();
    Some(Stat {
        name: head.split_once('(')?.1.to_owned(),
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        started: fields.nth(17)?.parse().ok()?,
    })
}

fn is_alive((pid, before): (&u32, &Stat)) -> bool {
    stat(*pid).is_some_and(|now| now.started == before.started && now.state != 'Z')
}

fn name((pid, stat): (&u32, &Stat)) -> String {
    format!("{} ({pid})", stat.name)
}

#[cfg(test)]
mod tests;
