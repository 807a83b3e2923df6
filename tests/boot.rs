//! The installed system, booted: what an operator does with it, step by step, on a Debian of its own under systemd. One
//! test for each of two machines, since each step stands on the one before: steps are functions, and each says what it saw.
//!
//! Skipped, with the reason printed, where nothing can be booted: `cargo xtask boot-tree` makes what it takes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers fail with them"
)]

#[path = "kserve/certificates.rs"]
#[expect(dead_code, reason = "some of it is for the tests of KServe alone")]
mod certificates;
#[path = "boot/doors.rs"]
mod doors;
#[path = "boot/engines.rs"]
mod engines;
#[path = "boot/faults.rs"]
mod faults;
#[path = "boot/load.rs"]
mod load;
#[path = "boot/manual.rs"]
mod manual;
#[path = "boot/setup.rs"]
mod setup;
#[path = "boot/upkeep.rs"]
mod upkeep;

use std::time::Instant;

use nn_tests::{Machine, require_backends};

/// Where nn-host@demo listens.
const PORT: u16 = 8080;

#[expect(clippy::print_stdout, reason = "each step says what it saw")]
fn step(machine: &mut Machine, what: &str, does: impl FnOnce(&mut Machine) -> String) {
    println!("step: {what} …");
    let start = Instant::now();
    let saw = does(machine);
    println!(
        "step: {what}: {saw} ({:.1} s)",
        start.elapsed().as_secs_f64()
    );
}

/// As an operator has it after the first page of the manual; `false` where what was built here does not run there.
#[expect(clippy::print_stdout, reason = "a test says why it is skipped")]
fn is_installed(machine: &mut Machine) -> bool {
    step(machine, "boots without us", setup::boot);
    step(machine, "installs", setup::install);
    if let Some(reason) = setup::cannot_run(machine) {
        println!("skipped: {reason}");
        return false;
    }
    step(
        machine,
        "the first load starts the daemon",
        setup::first_load,
    );
    step(machine, "who may do what", setup::rights);
    true
}

#[test]
fn an_installed_system_serves_heals_reloads_reboots_and_leaves_nothing() {
    require_backends!();
    let Some(mut machine) = Machine::new() else {
        return;
    };
    let machine = &mut machine;
    if !is_installed(machine) {
        return;
    }
    step(machine, "workers have every layer", setup::jailed);
    step(machine, "a guest answers over HTTP", setup::guest);
    step(
        machine,
        "a stopped daemon is replaced",
        faults::stopped_daemon,
    );
    step(
        machine,
        "a stopped spawner is noticed",
        faults::stopped_spawner,
    );
    step(machine, "a stopped host is replaced", faults::stopped_host);
    step(
        machine,
        "a killed worker is the daemon's business",
        faults::killed_worker,
    );
    step(machine, "restarts under load", load::restart);
    step(machine, "reloads of the host under load", load::host_reload);
    step(machine, "reloads tenants", upkeep::reload);
    step(machine, "refuses a broken file", upkeep::broken_reload);
    step(machine, "reboots", upkeep::reboot);
    step(machine, "stops and leaves nothing", upkeep::stop);
}

#[test]
fn the_doors_that_the_manual_opens_are_open_under_the_unit_and_no_wider() {
    require_backends!();
    let Some(mut machine) = Machine::new() else {
        return;
    };
    let machine = &mut machine;
    if !is_installed(machine) {
        return;
    }
    step(machine, "a door without its drop-in", doors::without);
    step(machine, "metrics over TCP", doors::metrics);
    step(machine, "KServe over TLS", doors::kserve);
    step(machine, "credentials of systemd's", doors::credentials);
    step(machine, "a remote engine", engines::engine);
    step(machine, "relay and dialer are walled in", engines::walls);
    step(machine, "a guest answers over HTTP", setup::guest);
    step(machine, "its model is placed", engines::placed_guest);
    step(machine, "restarts under load", load::restart);
    step(machine, "a dialer that is killed", engines::killed_dialer);
    step(machine, "stops and leaves nothing", upkeep::stop);
}
