//! What the kernel says of a worker. The spawner reads it because it may: it is the worker's parent, and owns the
//! worker's user namespace. The daemon, which judges it, is jailed and sees no other process.

use std::fs::File;
use std::{fs, io};

use nix::unistd::Pid;
use nn_worker_wire::{Namespace, Report, THREADS_MAX, walls};

/// The files below `/proc/PID/ns` that are compared.
const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// Reads it. The error is for the daemon's log.
pub(crate) fn read(worker: Pid) -> Result<Report, String> {
    let process = format!("/proc/{worker}");
    let tasks = format!("{process}/task");
    let mut threads = Vec::new();
    for thread in fs::read_dir(&tasks).map_err(unreadable(&tasks))? {
        let thread = thread.map_err(unreadable(&tasks))?;
        let number = thread.file_name();
        let number = number.to_str().and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| format!("{tasks} holds what is no thread"))?;
        threads.push((number, status(&format!("{tasks}/{number}"))?));
        if threads.len() > THREADS_MAX {
            return Err(format!("it has more than {THREADS_MAX} threads"));
        }
    }
    // One that cannot be read is left out, and the daemon trusts nobody whose it expects: without a user namespace of
    // the worker's own, who has no privileges may not look, and expects none.
    let namespace = |file: &str| {
        Some(Namespace {
            file: file.to_owned(),
            worker: link(&format!("{process}/ns/{file}"))?,
            spawner: link(&format!("/proc/self/ns/{file}"))?,
        })
    };
    Ok(Report {
        threads,
        spawner: status("/proc/self")?,
        namespaces: NAMESPACES.into_iter().filter_map(namespace).collect(),
    })
}

/// What the kernel says of a child for as long as it lives, to be handed on; without /proc there is nothing to hand on.
pub(crate) fn open_status(worker: Pid) -> Option<File> {
    File::open(format!("/proc/{worker}/status")).ok()
}

/// What the kernel says of a child's memory, to be handed on: of the program that it runs by now. Without the right to look
/// there is nothing to hand on.
pub(crate) fn open_rollup(worker: Pid) -> Option<File> {
    File::open(format!("/proc/{worker}/smaps_rollup")).ok()
}

fn status(process: &str) -> Result<String, String> {
    let path = format!("{process}/status");
    let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
    Ok(walls(&text))
}

fn link(path: &str) -> Option<String> {
    let link = fs::read_link(path).ok()?;
    Some(link.to_string_lossy().into_owned())
}

fn unreadable(path: &str) -> impl FnOnce(io::Error) -> String {
    move |error| format!("cannot read {path}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_reports_of_itself_as_of_any_other() {
        let report = read(Pid::this()).unwrap();
        assert!(
            report
                .threads
                .iter()
                .any(|(_, walls)| *walls == report.spawner)
        );
        assert!(report.spawner.contains("NoNewPrivs"));
        let same = |namespace: &&Namespace| namespace.worker == namespace.spawner;
        assert_eq!(
            report.namespaces.iter().filter(same).count(),
            report.namespaces.len()
        );
    }

    #[test]
    fn a_process_that_is_gone_is_an_error_with_its_path() {
        let error = read(Pid::from_raw(i32::MAX)).unwrap_err();
        assert!(error.contains("/proc/2147483647/task"), "{error}");
    }
}
