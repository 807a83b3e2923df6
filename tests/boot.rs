//! The installed system, booted: what an operator does with it, step by step, on a Debian of its own under systemd. One
//! test, since each step stands on the one before: steps are functions, and each says what it saw.
//!
//! Skipped, with the reason printed, where nothing can be booted: `cargo xtask boot-tree` makes what it takes.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

#[path = "boot/faults.rs"]
mod faults;
#[path = "boot/load.rs"]
mod load;
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

#[test]
fn an_installed_system_serves_heals_reloads_reboots_and_leaves_nothing() {
    require_backends!();
    let Some(mut machine) = Machine::new() else {
        return;
    };
    let machine = &mut machine;
    step(machine, "boots without us", setup::boot);
    step(machine, "installs", setup::install);
    if let Some(reason) = setup::cannot_run(machine) {
        println!("skipped: {reason}");
        return;
    }
    step(
        machine,
        "the first load starts the daemon",
        setup::first_load,
    );
    step(machine, "who may do what", setup::rights);
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
