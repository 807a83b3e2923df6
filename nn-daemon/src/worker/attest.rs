//! What the kernel says of a worker, judged before the model is sent to it: the worker's own word counts for nothing.
//! The spawner reads it (`nn-daemon/spawner/src/report.rs`), because the daemon's own jail hides other processes from it,
//! and judges it too, by the layers that it has held on to; then the daemon does, by its own plan.
//!
//! Landlock leaves no trace in /proc; that it is up is what the worker says, and what the tests show.

use nn_sandbox::{Layer, Unjailed};
use nn_worker_wire as wire;

use super::spawn::{SpawnError, Spawner};

/// Why a worker is not trusted with a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestError {
    #[error(transparent)]
    Report(#[from] SpawnError),
    #[error("worker process {pid}: {why}")]
    Unjailed { pid: u32, why: Unjailed },
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
    let judged = nn_sandbox::judge(layers, &report.threads, &report.spawner, |file| {
        report.has_own(file)
    });
    judged.map_err(|why| AttestError::Unjailed { pid, why })
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
        assert!(matches!(
            judged,
            Err(AttestError::Unjailed {
                why: Unjailed::NoThread,
                ..
            })
        ));
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
            matches!(
                judged,
                Err(AttestError::Unjailed {
                    why: Unjailed::Namespace(Layer::NetNs),
                    ..
                })
            ),
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
