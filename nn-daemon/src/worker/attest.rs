//! What the kernel says of a worker, judged before the model is sent to it: the worker's own word counts for nothing.
//! The spawner reads it (`nn-daemon/spawner/src/report.rs`), because the daemon's own jail hides other processes from it.
//!
//! Landlock leaves no trace in /proc; that it is up is what the worker says, and what the tests show.

use nn_sandbox::Layer;
use nn_worker_wire as wire;

use super::spawn::{SpawnError, Spawner};

/// The sets of capabilities that must be empty in every case.
const CAPABILITIES: [&str; 4] = ["CapInh", "CapPrm", "CapEff", "CapAmb"];

/// `CAP_SETPCAP`, by which a worker bounds what it can ever have.
const SETPCAP: u64 = 1 << 8;

/// No capability, as the kernel writes it.
const NONE: &str = "0000000000000000";

/// Why a worker is not trusted with a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestError {
    #[error(transparent)]
    Report(#[from] SpawnError),
    #[error(
        "thread {thread} of worker process {pid} is not jailed; expected {field} {expected}, got {got}"
    )]
    Field {
        pid: u32,
        thread: u32,
        field: &'static str,
        expected: String,
        got: String,
    },
    #[error("worker process {pid} is not jailed; the kernel lists no thread of it")]
    NoThread { pid: u32 },
    #[error("worker process {pid} is not jailed; expected a {layer} of its own, got the daemon's")]
    Namespace { pid: u32, layer: Layer },
}

/// Has the kernel asked and fails unless every active layer that shows there is up, in every thread.
pub(crate) async fn attest(
    spawner: &Spawner,
    (worker, pid): (u32, u32),
    layers: &[Layer],
) -> Result<(), AttestError> {
    judge(pid, &spawner.report(worker).await?, layers)
}

/// A report against the layers.
fn judge(pid: u32, report: &wire::Report, layers: &[Layer]) -> Result<(), AttestError> {
    let expected = Expected::new(layers, &report.spawner);
    if report.threads.is_empty() {
        return Err(AttestError::NoThread { pid });
    }
    for (thread, status) in &report.threads {
        expected.judge(pid, *thread, status)?;
    }
    for &layer in layers {
        let Some(file) = layer.namespace_file() else {
            continue;
        };
        let mut named = report.namespaces.iter().filter(|one| one.file == file);
        if !named.any(|one| one.worker != one.spawner) {
            return Err(AttestError::Namespace { pid, layer });
        }
    }
    Ok(())
}

/// What each thread's status must say.
struct Expected {
    fields: Vec<(&'static str, &'static str)>,
    /// More filters than the spawner has, which every worker has from birth.
    filters_above: Option<u64>,
}

// === impl Expected ===

impl Expected {
    fn new(layers: &[Layer], spawner: &str) -> Self {
        let mut fields: Vec<(&'static str, &'static str)> = Vec::new();
        if layers.contains(&Layer::NoNewPrivs) {
            fields.push(("NoNewPrivs", "1"));
        }
        let mut filters_above = None;
        if layers.contains(&Layer::Seccomp) {
            // A filter, as against none and the strict mode.
            fields.push(("Seccomp", "2"));
            filters_above = filters(spawner);
        }
        fields.extend(CAPABILITIES.map(|set| (set, NONE)));
        // Only who has that capability may bound them.
        let bits = value(spawner, "CapEff").and_then(|bits| u64::from_str_radix(bits, 16).ok());
        let bounded = bits.is_some_and(|bits| bits & SETPCAP != 0);
        if layers.contains(&Layer::UserNs) || bounded {
            fields.push(("CapBnd", NONE));
        }
        Self {
            fields,
            filters_above,
        }
    }

    fn judge(&self, pid: u32, thread: u32, status: &str) -> Result<(), AttestError> {
        let wrong = |field, expected: &str, got: &str| AttestError::Field {
            pid,
            thread,
            field,
            expected: expected.to_owned(),
            got: got.to_owned(),
        };
        for &(field, expected) in &self.fields {
            let got = value(status, field).unwrap_or("nothing");
            if got != expected {
                return Err(wrong(field, expected, got));
            }
        }
        // A kernel that counts filters does so for every process.
        if let Some(least) = self.filters_above {
            let got = filters(status).unwrap_or_default();
            if got <= least {
                let expected = format!("more than {least}");
                return Err(wrong("Seccomp_filters", &expected, &got.to_string()));
            }
        }
        Ok(())
    }
}

fn value<'a>(status: &'a str, field: &str) -> Option<&'a str> {
    let of = |line: &'a str| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim());
    status.lines().find_map(of)
}

fn filters(status: &str) -> Option<u64> {
    value(status, "Seccomp_filters")?.parse().ok()
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
Seccomp_filters:\t3
";

    const SPAWNER: &str = "CapEff:\t00000000000000c0\nSeccomp:\t2\nSeccomp_filters:\t2\n";

    fn report(status: &str) -> wire::Report {
        let namespace = |layer: Layer| {
            Some(wire::Namespace {
                file: layer.namespace_file()?.to_owned(),
                worker: "4026532700".to_owned(),
                spawner: "4026531840".to_owned(),
            })
        };
        wire::Report {
            threads: vec![(1, status.to_owned())],
            spawner: SPAWNER.to_owned(),
            namespaces: Layer::ALL.into_iter().filter_map(namespace).collect(),
        }
    }

    fn refused(layers: &[Layer], field: &str, value: &str) -> bool {
        let lines = JAILED.lines().map(|line| match line.split_once(':') {
            Some((name, _)) if name == field => format!("{name}:\t{value}\n"),
            _ => format!("{line}\n"),
        });
        judge(1, &report(&lines.collect::<String>()), layers).is_err()
    }

    #[test]
    fn a_jailed_thread_is_trusted() {
        assert!(judge(1, &report(JAILED), &Layer::ALL).is_ok());
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
            // What it has inherited, and no more.
            ("Seccomp_filters", "2"),
        ];
        let trusted: Vec<_> = down
            .iter()
            .filter(|(field, value)| !refused(&Layer::ALL, field, value))
            .collect();
        assert!(trusted.is_empty(), "{trusted:?}");
    }

    #[test]
    fn a_status_that_says_nothing_is_not_trusted() {
        assert!(judge(1, &report("Name:\tnn-worker\n"), &[Layer::Seccomp]).is_err());
    }

    #[test]
    fn a_second_thread_is_judged_as_the_first() {
        let mut two = report(JAILED);
        two.threads
            .push((2, JAILED.replace("Seccomp:\t2", "Seccomp:\t0")));
        assert!(judge(1, &two, &Layer::ALL).is_err());
    }

    #[test]
    fn a_process_without_threads_is_not_trusted() {
        let mut none = report(JAILED);
        none.threads.clear();
        let judged = judge(1, &none, &Layer::ALL);
        assert!(matches!(judged, Err(AttestError::NoThread { pid: 1 })));
    }

    #[test]
    fn a_layer_that_is_not_active_is_not_asked_for() {
        assert!(!refused(&[Layer::NoNewPrivs], "Seccomp", "0"));
    }

    #[test]
    fn a_process_in_the_daemons_namespaces_is_not_trusted() {
        let mut report = report(JAILED);
        let net = report.namespaces.iter_mut().find(|one| one.file == "net");
        let net = net.unwrap();
        net.worker = net.spawner.clone();
        let judged = judge(1, &report, &[Layer::NetNs]);
        assert!(
            matches!(judged, Err(AttestError::Namespace { .. })),
            "{judged:?}"
        );
    }

    #[test]
    fn a_namespace_that_was_not_read_is_not_trusted() {
        let mut report = report(JAILED);
        report.namespaces.clear();
        assert!(judge(1, &report, &[Layer::NetNs]).is_err());
    }
}
