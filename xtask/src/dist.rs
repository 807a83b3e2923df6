//! `cargo xtask dist`: an installation as one file, target/nn/dist/nn-VERSION-TARGET.tar.gz, to be unpacked at `/`.
//!
//! The same build gives the same bytes: names in order, one owner, one time. `tar` and `gzip` do it, which every machine
//! that can build this has: two crates less to trust.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::install::{self, Layout, Profile};
use crate::output::{size, talk};
use crate::setup::Scratch;
use crate::workspace::Workspace;
use crate::{process, setup, test};

const SUMS: &str = "SHA256SUMS";

/// Which build to pack.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which build
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Take what has been built
    #[arg(long)]
    no_build: bool,
}

/// Sets up, builds, installs into a scratch folder, and packs that.
///
/// # Errors
/// When one of these fails.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::run(workspace)?;
    if !options.no_build {
        test::build(workspace, options.profile == Profile::Release)?;
    }
    let folder = workspace.nn().join("dist");
    let scratch = Scratch::new(&folder)?;
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree)?;
    let layout = Layout::new(Path::new("/usr"))?;
    install::install(workspace, &tree, &layout, options.profile)?;
    // Nobody is to take one for the other.
    let kind = match options.profile {
        Profile::Dev => "-dev",
        Profile::Release => "",
    };
    let name = format!(
        "nn-{}-{}{kind}.tar.gz",
        env!("CARGO_PKG_VERSION"),
        process::target()?
    );
    let packed = scratch.path().join(&name);
    pack(&tree, &packed, time(workspace)?)?;
    let bytes = fs::metadata(&packed)?.len();
    fs::rename(&packed, folder.join(&name))?;
    let sums = sums(&folder)?;
    fs::write(folder.join(SUMS), sums)
        .with_context(|| format!("{SUMS} cannot be written in {}", folder.display()))?;
    talk(&format!(
        "dist: {} ({}); {SUMS} is beside it",
        folder.join(&name).display(),
        size(bytes)
    ));
    Ok(())
}

/// Packs what is in a folder.
fn pack(tree: &Path, to: &Path, time_s: u64) -> Result<()> {
    let tar = to.with_extension("");
    let mut pack = process::command("tar");
    // Names in the order of their bytes, whatever the language.
    pack.env("LC_ALL", "C")
        .args(["--create", "--format=gnu", "--sort=name", "--numeric-owner"])
        .args(["--owner=0", "--group=0"])
        .arg(format!("--mtime=@{time_s}"))
        .arg("--file")
        .arg(&tar)
        .arg("--directory")
        .arg(tree)
        .args(["etc", "usr"]);
    process::run_quietly(&mut pack)?;
    // Without the name and the time of what it packs.
    process::run_quietly(process::command("gzip").args(["-9", "--no-name"]).arg(&tar))
}

/// When it was made, as far as anybody is told: what the packager says, else the time of the last change.
fn time(workspace: &Workspace) -> Result<u64> {
    if let Some(said) = env::var_os("SOURCE_DATE_EPOCH") {
        let said = said.to_string_lossy();
        return said.parse().with_context(|| {
            format!("SOURCE_DATE_EPOCH is {said:?}; expected seconds since 1970")
        });
    }
    let mut log = process::command("git");
    log.args(["log", "-1", "--format=%ct"])
        .current_dir(workspace.root());
    // A source tree that is no checkout has no time of its own.
    let text = process::output(&mut log).unwrap_or_default();
    Ok(text.trim().parse().unwrap_or(0))
}

/// The digests of all tarballs in a folder, as `sha256sum` writes them.
fn sums(folder: &Path) -> Result<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".tar.gz") {
            continue;
        }
        let digest = Sha256::digest(fs::read(entry.path())?);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push(format!("{name}\0{digest}  {name}\n"));
    }
    lines.sort();
    let lines = lines
        .iter()
        .filter_map(|line| Some(line.split_once('\0')?.1));
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A tree with two files, made in this order, with those times.
    fn tree(folder: &Path, names: [&str; 2]) {
        fs::create_dir_all(folder.join("usr")).unwrap();
        fs::create_dir_all(folder.join("etc")).unwrap();
        for name in names {
            fs::write(folder.join("usr").join(name), name).unwrap();
            let mode = fs::Permissions::from_mode(0o644);
            fs::set_permissions(folder.join("usr").join(name), mode).unwrap();
        }
    }

    #[test]
    fn the_same_files_give_the_same_tarball_whenever_and_in_whatever_order_they_were_made() {
        let scratch = Scratch::new(&env::temp_dir()).unwrap();
        let folder = scratch.path();
        tree(&folder.join("one"), ["a", "b"]);
        tree(&folder.join("two"), ["b", "a"]);
        let (one, two) = (folder.join("1.tar.gz"), folder.join("2.tar.gz"));
        pack(&folder.join("one"), &one, 7).unwrap();
        pack(&folder.join("two"), &two, 7).unwrap();
        assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap());
        let sums = sums(folder).unwrap();
        let names: Vec<&str> = sums
            .lines()
            .filter_map(|line| line.rsplit(' ').next())
            .collect();
        assert_eq!(names, ["1.tar.gz", "2.tar.gz"]);
    }
}
