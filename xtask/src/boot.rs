//! `cargo xtask boot-tree`: the root directory that tests/boot.rs boots: a Debian 12 with systemd and nothing else.
//!
//! Made once by debootstrap, which checks each package against the archive's signature, and kept in the user's cache
//! beside the wheels; target/nn/boot-tree leads to it. Nobody writes to it: the test boots a copy. The suite is pinned,
//! not the package: what an operator's machine has is the newest of its suite too.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::output::{explain, talk};
use crate::process;
use crate::setup::Scratch;
use crate::workspace::Workspace;

/// Suite and recipe: another number when what is below makes something else.
const NAME: &str = "boot-bookworm-1";

const SUITE: &str = "bookworm";

const PACKAGES: &str = "systemd,systemd-sysv,dbus";

/// About a minute where the archive is near.
const TIME_MAX: Duration = Duration::from_secs(900);

/// What a machine that is booted for a minute should not begin to do, and would only be slower for.
const MASKED: [&str; 6] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
];

/// What the packages came in; it would be copied for each boot.
const LEFTOVERS: [&str; 4] = [
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/locale",
];

/// Makes the tree unless it is there.
///
/// # Errors
/// When this machine cannot, or the archive did not give what was asked for.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let tree = workspace.cache().join(NAME);
    if !tree.is_dir() {
        if let Some(reason) = cannot_make() {
            bail!("{reason}");
        }
        make(workspace.cache(), &tree)?;
    }
    let link = workspace.nn().join("boot-tree");
    if fs::read_link(&link).is_ok_and(|target| target == tree) {
        return Ok(());
    }
    fs::create_dir_all(workspace.nn())?;
    // There may be none.
    let _ = fs::remove_file(&link);
    symlink(&tree, &link).with_context(|| format!("{} cannot be made", link.display()))
}

/// As [`run`], for tests: without the tree the one that boots it is skipped, and nothing else is wrong.
pub(crate) fn offer(workspace: &Workspace) {
    if let Err(error) = run(workspace) {
        talk(&format!(
            "test: booting will be skipped: no tree to boot: {}",
            explain(&error)
        ));
    }
}

/// Why this machine cannot make one.
fn cannot_make() -> Option<&'static str> {
    // Every file of the tree is to belong to whom it says.
    if !is_root() {
        return Some("it takes root to make a root directory\nhint: run it as root");
    }
    let there = process::is_available("debootstrap", "--version");
    if there {
        None
    } else {
        Some("debootstrap is not installed\nhint: apt-get install debootstrap systemd-container")
    }
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

fn make(cache: &Path, tree: &Path) -> Result<()> {
    talk(&format!(
        "boot-tree: making a Debian {SUITE} with systemd (about 200 MB, once)"
    ));
    let scratch = Scratch::new(cache)?;
    let made = scratch.path().join("tree");
    let mut debootstrap = process::command("debootstrap");
    debootstrap
        .args(["--variant=minbase", "--include", PACKAGES, SUITE])
        .arg(&made);
    let said = process::output_within(&mut debootstrap, TIME_MAX);
    said.with_context(|| {
        format!("debootstrap made no tree\nhint: does this machine reach a Debian archive? Or put a tree into {} by hand", tree.display())
    })?;
    finish(&made)?;
    fs::rename(&made, tree).with_context(|| format!("{} cannot be made", tree.display()))
}

/// Nothing that waits for an hour of the day or a terminal, and no leftovers.
fn finish(tree: &Path) -> Result<()> {
    let units = tree.join("etc/systemd/system");
    fs::create_dir_all(&units)?;
    for unit in MASKED {
        let mask = units.join(unit);
        if fs::symlink_metadata(&mask).is_err() {
            symlink("/dev/null", &mask)
                .with_context(|| format!("{} cannot be made", mask.display()))?;
        }
    }
    let target = units.join("default.target");
    let _ = fs::remove_file(&target);
    symlink("/lib/systemd/system/multi-user.target", &target)?;
    for leftover in LEFTOVERS {
        let path = tree.join(leftover);
        if path.is_dir() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("{} cannot be removed", path.display()))?;
            fs::create_dir_all(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_tree_has_no_timers_no_leftovers_and_boots_without_a_screen() {
        let scratch = Scratch::new(&std::env::temp_dir()).unwrap();
        let tree = scratch.path();
        fs::create_dir_all(tree.join("var/lib/apt/lists/partial")).unwrap();

        finish(tree).unwrap();
        finish(tree).unwrap();

        let units = tree.join("etc/systemd/system");
        let leads = |unit: &str| fs::read_link(units.join(unit)).unwrap();
        assert_eq!(leads("apt-daily.timer"), Path::new("/dev/null"));
        assert!(leads("default.target").ends_with("multi-user.target"));
        assert!(tree.join("var/lib/apt/lists").is_dir());
        assert!(!tree.join("var/lib/apt/lists/partial").exists());
    }
}
