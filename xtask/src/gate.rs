//! `cargo xtask gate`: everything that a change has to pass, the quickest first.

use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::output::talk;
use crate::workspace::Workspace;
use crate::{libraries, process, test, tidy};

/// Runs every check, and stops at the first that fails.
///
/// # Errors
/// When one fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    step("fmt", || {
        cargo(workspace, &["fmt", "--all", "--check"], &[])
    })?;
    step("tidy", || tidy::run(workspace))?;
    step("clippy", || {
        let arguments = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        cargo(workspace, &arguments, &[])
    })?;
    step("doc", || {
        let arguments = [
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ];
        cargo(workspace, &arguments, &[("RUSTDOCFLAGS", "-D warnings")])
    })?;
    step("test", || test::run(workspace, &test::Options::default()))?;
    step("libraries", || {
        libraries::run(workspace, &libraries::Options::default())
    })?;
    if process::is_available("cargo-deny", "--version") {
        step("deny", || {
            cargo(
                workspace,
                &["deny", "--offline", "check", "bans", "licenses", "sources"],
                &[],
            )
        })?;
    } else {
        talk(
            "gate: deny skipped: cargo-deny is not installed (`tidy` has checked who depends on whom)",
        );
    }
    Ok(())
}

fn step(name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
    talk(&format!("gate: {name}"));
    let started = Instant::now();
    check().with_context(|| format!("gate: {name} failed"))?;
    talk(&format!(
        "gate: {name} passed in {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn cargo(workspace: &Workspace, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(arguments).envs(environment.iter().copied());
    process::run(cargo.current_dir(workspace.root()))
}
