//! What hangs or dies, and who notices.

use std::time::Duration;

use nn_tests::{Machine, coffee};

use crate::setup::{is_right, label};

/// In the machine instead of the unit's own interval, which nobody wants to wait for in a test.
const INTERVAL: &str = "[Service]\nWatchdogSec=2s\n";

/// From the kill to the first right answer it takes well below 3 s; a busy machine may need longer.
const HEALED: Duration = Duration::from_secs(10);

/// The watchdog's interval, and as long again.
const NOTICED: Duration = Duration::from_secs(20);

const DAEMON: &str = "nn-daemon.service";

const HOST: &str = "nn-host@demo.service";

fn pid(machine: &Machine, unit: &str) -> String {
    machine.property(unit, "MainPID")
}

fn restarts(machine: &Machine, unit: &str) -> u32 {
    machine.property(unit, "NRestarts").parse().unwrap()
}

/// Sends a signal and waits until systemd has put another process in the place of the unit's; gives how long it took to
/// notice, and from then on to a right answer.
fn replaced(machine: &Machine, unit: &str, signal: &str) -> (Duration, Duration) {
    let (before, count) = (pid(machine, unit), restarts(machine, unit));
    machine.run(signal).success();
    let noticed = machine.wait("systemd ends the process", NOTICED, |machine| {
        let gone = format!("test ! -e /proc/{before}");
        machine.run(&gone).code == Some(0)
    });
    let healed = answers(machine);
    assert!(restarts(machine, unit) > count);
    assert_ne!(pid(machine, unit), before);
    (noticed, healed)
}

/// How long it takes until the guest gives a right answer.
fn answers(machine: &Machine) -> Duration {
    let picture = coffee();
    machine.wait("the guest answers", HEALED, |machine| {
        is_right(&label(machine, &picture))
    })
}

fn told((noticed, healed): (Duration, Duration)) -> String {
    format!(
        "noticed after {:.1} s; from the kill to the first right answer {:.2} s",
        noticed.as_secs_f64(),
        healed.as_secs_f64()
    )
}

pub(crate) fn stopped_daemon(machine: &mut Machine) -> String {
    for unit in [DAEMON, HOST] {
        machine.write(&format!("/etc/systemd/system/{unit}.d/test.conf"), INTERVAL);
    }
    machine.run("systemctl daemon-reload").success();
    machine
        .run(&format!("systemctl restart {DAEMON} {HOST}"))
        .success();
    answers(machine);
    let signal = format!("kill -STOP {}", pid(machine, DAEMON));
    let told = told(replaced(machine, DAEMON, &signal));
    let journal = machine.journal(DAEMON);
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    told
}

pub(crate) fn stopped_spawner(machine: &mut Machine) -> String {
    let pid = pid(machine, DAEMON);
    let signal = format!("kill -STOP $(cat /proc/{pid}/task/{pid}/children)");
    told(replaced(machine, DAEMON, &signal))
}

pub(crate) fn stopped_host(machine: &mut Machine) -> String {
    let signal = format!("kill -STOP {}", pid(machine, HOST));
    told(replaced(machine, HOST, &signal))
}

pub(crate) fn killed_worker(machine: &mut Machine) -> String {
    let (before, count) = (pid(machine, DAEMON), restarts(machine, DAEMON));
    // Its workers are the children of its one child.
    let line = format!(
        "for s in $(cat /proc/{before}/task/{before}/children); do kill -KILL $(cat /proc/$s/task/$s/children); done"
    );
    machine.run(&line).success();
    let took = answers(machine);
    assert_eq!(
        (pid(machine, DAEMON), restarts(machine, DAEMON)),
        (before, count)
    );
    format!("the same daemon answers {:.2} s later", took.as_secs_f64())
}
