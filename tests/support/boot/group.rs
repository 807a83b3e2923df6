//! A control group of version 2 for one machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long the kernel may take to be done with processes that were killed.
const PATIENCE: Duration = Duration::from_secs(10);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The group; removed when dropped, with all that was made in it.
#[derive(Debug)]
pub(super) struct Group(PathBuf);

/// Where version 2 is mounted: not at /sys/fs/cgroup where version 1 is used as well.
fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

/// Removes a group and those below it; no process may be left in any.
fn remove(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

// === impl Group ===

impl Group {
    /// Makes one below this process's own.
    pub(super) fn new() -> io::Result<Self> {
        let missing = || io::Error::other("there is no cgroup version 2");
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let parent = mount().ok_or_else(missing)?.join(own.ok_or_else(missing)?);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("nn-boot-{}-{count}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// A command whose process is in the group.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = super::command("/bin/sh");
        command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]);
        command.arg(&self.0).arg(program);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whatever is left of the machine; the file is there from Linux 5.14 on.
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let patience = Instant::now();
        while remove(&self.0).is_err() && patience.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
