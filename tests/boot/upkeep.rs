//! Reload, reboot, stop.

use std::time::Duration;

use nn_tests::{Machine, coffee};

use crate::setup::{is_right, label};

const CONFIG: &str = "/etc/nn-daemon/nn-daemon.toml";

const INFER: &str = "nnctl infer add --input a=/srv/a.npy --input b=/srv/b.npy";

const PATIENCE: Duration = Duration::from_secs(30);

fn pid(machine: &Machine) -> String {
    machine.property("nn-daemon", "MainPID")
}

/// A tenant of alice's alone, and then of nobody's.
pub(crate) fn reload(machine: &mut Machine) -> String {
    let before = pid(machine);
    let alice = machine.run("id --user alice").ok().stdout.trim().to_owned();
    machine
        .run(&format!("cp {CONFIG} {CONFIG}.before"))
        .success();
    let tenants = |uid: &str| format!("printf '[tenants.default]\\nuids = [{uid}]\\n' >> {CONFIG}");
    machine.run(&tenants("1")).success();
    machine.run("systemctl reload nn-daemon").success();
    machine.wait("alice is refused", PATIENCE, |machine| {
        machine.run_as("alice", INFER).code == Some(5)
    });

    machine
        .run(&format!("cp {CONFIG}.before {CONFIG}; {}", tenants(&alice)))
        .success();
    machine.run("systemctl reload nn-daemon").success();
    machine.wait("alice is served", PATIENCE, |machine| {
        machine.run_as("alice", INFER).code == Some(0)
    });
    assert_eq!(pid(machine), before);
    "alice was shut out and let in again by the same daemon".to_owned()
}

pub(crate) fn broken_reload(machine: &mut Machine) -> String {
    let before = pid(machine);
    machine
        .run(&format!("echo 'no such key' >> {CONFIG}"))
        .success();
    // Whether systemd calls this a failure is up to when the daemon says so; that it lives on is what counts.
    let _ = machine.run("systemctl reload nn-daemon");
    machine.wait("the log says so", PATIENCE, |machine| {
        let journal = machine.journal("nn-daemon");
        journal.contains("nn-daemon.toml") && journal.contains("TOML parse error")
    });
    let errors = machine.run("journalctl --no-pager --boot --unit=nn-daemon --priority=err");
    assert!(errors.stdout.contains("stays as it was"), "{errors:?}");
    machine.run_as("alice", INFER).success();
    assert_eq!(pid(machine), before);
    machine
        .run(&format!(
            "cp {CONFIG}.before {CONFIG} && systemctl reload nn-daemon"
        ))
        .success();
    "the old configuration holds, and the log says why".to_owned()
}

pub(crate) fn reboot(machine: &mut Machine) -> String {
    machine.reboot();
    let picture = coffee();
    let took = machine.wait("the guest answers", PATIENCE, |machine| {
        is_right(&label(machine, &picture))
    });
    let models = machine.run("nnctl list").ok().stdout;
    assert!(
        models.contains("efficientnet-lite0") && models.contains("add"),
        "{models}"
    );
    format!(
        "the first right answer {:.1} s after the boot",
        took.as_secs_f64()
    )
}

/// Processes of ours, or of our users'.
const PROCESSES: &str = "for p in /proc/[0-9]*; do \
    case $(cat $p/comm) in nn-*) cat $p/comm;; esac; \
    case $(cat $p/cgroup) in *nn-daemon*|*nn-host*) cat $p/cgroup;; esac; \
    done 2>/dev/null; true";

/// What must be gone afterwards, and a line that shows it.
const TRACES: [(&str, &str); 3] = [
    ("processes", PROCESSES),
    ("sockets", "ls /run/nn-daemon"),
    ("control groups", "find /sys/fs/cgroup -name '*nn-*'"),
];

pub(crate) fn stop(machine: &mut Machine) -> String {
    let seen = |line: &str| machine.run(line).ok().stdout;
    // The lines see what there is.
    assert!(TRACES.iter().all(|(_, line)| !seen(line).is_empty()));
    machine
        .run("systemctl stop nn-daemon.socket nn-daemon.service nn-host@demo.service")
        .success();
    for (what, line) in TRACES {
        assert_eq!(seen(line), "", "{what} left");
    }
    let mounts = "cut --delimiter=' ' --fields=5 /proc/self/mountinfo | grep nn-; true";
    assert_eq!(seen(mounts), "", "mounts left");
    let failed = "systemctl --failed --no-legend --plain | grep nn-; true";
    assert_eq!(seen(failed), "", "units failed");
    "no process, socket, mount or control group".to_owned()
}
