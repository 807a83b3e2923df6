//! What the kernel says of a worker, read before the model is sent to it: the worker's own word
//! counts for nothing.
//!
//! Landlock leaves no trace in /proc; that it is up is what the worker says, and what the tests show.

use std::path::{Path, PathBuf};
use std::{fs, io};

use nn_sandbox::Layer;

/// The sets of capabilities that must be empty in every case.
const CAPABILITIES: [&str; 4] = ["CapInh", "CapPrm", "CapEff", "CapAmb"];

/// Why a worker is not trusted with a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestError {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "thread {thread} of worker process {pid} is not jailed; expected {field} {expected}, got {got}"
    )]
    Field {
        pid: u32,
        thread: String,
        field: &'static str,
        expected: &'static str,
        got: String,
    },
    #[error("worker process {pid} is not jailed; expected a {layer} of its own, got the daemon's")]
    Namespace { pid: u32, layer: Layer },
}

/// Reads /proc and fails unless every active layer that shows there is up, in every thread.
pub(crate) fn attest(pid: u32, layers: &[Layer]) -> Result<(), AttestError> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let tasks = process.join("task");
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        |source| AttestError::Read { path, source }
    };
    let threads = fs::read_dir(&tasks).map_err(unreadable(&tasks))?;
    for thread in threads {
        let thread = thread.map_err(unreadable(&tasks))?;
        let path = thread.path().join("status");
        let status = fs::read_to_string(&path).map_err(unreadable(&path))?;
        judge(pid, &thread.file_name().to_string_lossy(), &status, layers)?;
    }
    for &layer in layers {
        let Some(file) = layer.namespace_file() else {
            continue;
        };
        let of = |process: &Path| {
            let path = process.join("ns").join(file);
            fs::read_link(&path).map_err(unreadable(&path))
        };
        if of(&process)? == of(Path::new("/proc/self"))? {
            return Err(AttestError::Namespace { pid, layer });
        }
    }
    Ok(())
}

/// One thread's `status` against the layers.
fn judge(pid: u32, thread: &str, status: &str, layers: &[Layer]) -> Result<(), AttestError> {
    let mut expected: Vec<(&'static str, &'static str)> = Vec::new();
    if layers.contains(&Layer::NoNewPrivs) {
        expected.push(("NoNewPrivs", "1"));
    }
    if layers.contains(&Layer::Seccomp) {
        // A filter, as against none and the strict mode.
        expected.push(("Seccomp", "2"));
    }
    const NONE: &str = "0000000000000000";
    expected.extend(CAPABILITIES.map(|set| (set, NONE)));
    // Only who has capabilities may bound them.
    if layers.contains(&Layer::UserNs) || nix::unistd::geteuid().is_root() {
        expected.push(("CapBnd", NONE));
    }
    for (field, expected) in expected {
        let value = |line: &'_ str| {
            Some(
                line.strip_prefix(field)?
                    .strip_prefix(':')?
                    .trim()
                    .to_owned(),
            )
        };
        let got = status
            .lines()
            .find_map(value)
            .unwrap_or_else(|| "nothing".to_owned());
        if got != expected {
            return Err(AttestError::Field {
                pid,
                thread: thread.to_owned(),
                field,
                expected,
                got,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAILED: &str = "\
Name:\tnn-worker
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
";

    fn refused(layers: &[Layer], field: &str, value: &str) -> bool {
        let lines = JAILED.lines().map(|line| match line.split_once(':') {
            Some((name, _)) if name == field => format!("{name}:\t{value}\n"),
            _ => format!("{line}\n"),
        });
        judge(1, "1", &lines.collect::<String>(), layers).is_err()
    }

    #[test]
    fn a_jailed_thread_is_trusted() {
        assert!(judge(1, "1", JAILED, &Layer::ALL).is_ok());
    }

    #[test]
    fn a_thread_with_one_wall_down_is_not() {
        let down = [
            ("NoNewPrivs", "0"),
            ("Seccomp", "0"),
            ("Seccomp", "1"),
            ("CapEff", "0000000000200000"),
            ("CapPrm", "0000000000200000"),
            ("CapInh", "0000000000200000"),
            ("CapBnd", "000001ffffffffff"),
            ("CapAmb", "0000000000200000"),
        ];
        let trusted: Vec<_> = down
            .iter()
            .filter(|(field, value)| !refused(&Layer::ALL, field, value))
            .collect();
        assert!(trusted.is_empty(), "{trusted:?}");
    }

    #[test]
    fn a_status_that_says_nothing_is_not_trusted() {
        assert!(judge(1, "1", "Name:\tnn-worker\n", &[Layer::Seccomp]).is_err());
    }

    #[test]
    fn a_layer_that_is_not_active_is_not_asked_for() {
        assert!(!refused(&[Layer::NoNewPrivs], "Seccomp", "0"));
    }

    #[test]
    fn a_process_in_the_daemons_namespaces_is_not_trusted() {
        let own = std::process::id();
        let judged = attest(own, &[Layer::NetNs]);
        assert!(judged.is_err(), "{judged:?}");
    }
}
