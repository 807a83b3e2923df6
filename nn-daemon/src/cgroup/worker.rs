//! One worker's control group: its walls, and its end.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{NoCgroups, failed};

/// Each worker weighs the same.
const WEIGHT: &str = "100";

/// How much a worker may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walls {
    /// Memory besides the segments it is given, in bytes.
    pub(crate) memory_bytes: u64,
    /// Processes and threads.
    pub(crate) processes: u64,
}

/// The group. Dropping it kills what is left in it and takes it away.
#[derive(Debug)]
pub(crate) struct WorkerGroup {
    path: PathBuf,
    directory: File,
    /// What `memory.max` is; `None` without that controller.
    memory: Option<AtomicU64>,
    memory_bytes: u64,
}

fn set(path: &Path, file: &str, value: &str) -> Result<(), NoCgroups> {
    let path = path.join(file);
    fs::write(&path, value).map_err(failed("write to", &path))
}

// === impl WorkerGroup ===

impl WorkerGroup {
    pub(super) fn make(
        path: PathBuf,
        controllers: &[&str],
        walls: &Walls,
    ) -> Result<Self, NoCgroups> {
        fs::create_dir(&path).map_err(failed("make the group", &path))?;
        let directory = File::open(&path).map_err(failed("open the group", &path))?;
        let memory = controllers.contains(&"memory");
        let group = Self {
            memory: memory.then(|| AtomicU64::new(walls.memory_bytes)),
            memory_bytes: walls.memory_bytes,
            directory,
            path,
        };
        let path = &group.path;
        if memory {
            set(path, "memory.max", &walls.memory_bytes.to_string())?;
            set(path, "memory.oom.group", "1")?;
            // A worker that swaps is slow for everybody; a kernel without swap has no such file.
            if path.join("memory.swap.max").exists() {
                set(path, "memory.swap.max", "0")?;
            }
        }
        if controllers.contains(&"pids") {
            set(path, "pids.max", &walls.processes.to_string())?;
        }
        if controllers.contains(&"cpu") {
            set(path, "cpu.weight", WEIGHT)?;
        }
        Ok(group)
    }

    /// Lets the worker have the pages of these segments too, in bytes together: whoever touches a page first is charged
    /// for it, the writer of an output, and the reader of an input that its client left empty. It never takes any back:
    /// pages outlive the worker's mapping, and a wall below what there is would kill it.
    pub(crate) fn allow_arenas(&self, bytes: u64) {
        let Some(memory) = &self.memory else { return };
        let wanted = self.memory_bytes.saturating_add(bytes);
        if memory.fetch_max(wanted, Ordering::Relaxed) < wanted
            && let Err(error) = set(&self.path, "memory.max", &wanted.to_string())
        {
            tracing::warn!("a worker's memory.max stays as it is: {error}");
        }
    }

    /// Whether the kernel has killed in this group because its memory was used up.
    pub(crate) fn was_short_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        let killed = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        killed.is_some_and(|count| count.trim() != "0")
    }
}

impl AsFd for WorkerGroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for WorkerGroup {
    fn drop(&mut self) {
        // The spawner has waited for the worker, which was all there was: this is for what nobody thought of.
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        if let Err(error) = fs::remove_dir(&self.path) {
            tracing::debug!(path = %self.path.display(), "a worker's group stays: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALLS: Walls = Walls {
        memory_bytes: 1000,
        processes: 3,
    };

    fn made(controllers: &[&str]) -> (tempfile::TempDir, WorkerGroup) {
        let dir = tempfile::tempdir().unwrap();
        let group = WorkerGroup::make(dir.path().join("1"), controllers, &WALLS).unwrap();
        (dir, group)
    }

    #[test]
    fn each_controller_that_is_there_gets_its_wall() {
        let (dir, _group) = made(&["cpu", "memory", "pids"]);
        let read = |file: &str| fs::read_to_string(dir.path().join("1").join(file)).unwrap();
        assert_eq!(read("memory.max"), "1000");
        assert_eq!(read("memory.oom.group"), "1");
        assert_eq!(read("pids.max"), "3");
        assert_eq!(read("cpu.weight"), "100");
    }

    #[test]
    fn what_is_not_there_is_not_written() {
        let (dir, group) = made(&["pids"]);
        assert!(!dir.path().join("1/memory.max").exists());
        group.allow_arenas(5);
        assert!(!dir.path().join("1/memory.max").exists());
    }

    #[test]
    fn memory_grows_with_the_arenas_and_never_shrinks() {
        let (dir, group) = made(&["memory"]);
        let read = || fs::read_to_string(dir.path().join("1/memory.max")).unwrap();
        group.allow_arenas(500);
        assert_eq!(read(), "1500");
        group.allow_arenas(200);
        assert_eq!(read(), "1500");
    }

    #[test]
    fn a_kill_for_want_of_memory_is_known_by_the_groups_events() {
        let (dir, group) = made(&["memory"]);
        assert!(!group.was_short_of_memory());
        let events = dir.path().join("1/memory.events");
        fs::write(&events, "low 0\noom 0\noom_kill 0\n").unwrap();
        assert!(!group.was_short_of_memory());
        fs::write(&events, "low 0\noom 1\noom_kill 1\n").unwrap();
        assert!(group.was_short_of_memory());
    }
}
