//! `cargo xtask install`: an installation on this machine, or in a folder that stands for the root of another.
//!
//! What belongs to it is `install/tree.rs`; how it gets there `install/place.rs`; what is there afterwards the list in
//! share/nn-daemon/manifest (`install/list.rs`), by which `--check` looks at it later and the next installation takes
//! away what it no longer has. Configuration that is there stays as it is.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::output::{data, talk};
use crate::setup::Scratch;
use crate::workspace::Workspace;
use crate::{process, test};

mod documents;
mod layout;
mod list;
mod notices;
mod place;
mod tree;
mod units;

pub(crate) use layout::Layout;

use list::List;
use tree::Sources;

/// Programs that write pages and completions of their own.
const WITH_MANUAL: [&str; 3] = ["nn-daemon", "nn-host", "nnctl"];

/// What to install, and where.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where it is to run from: DIR/bin, DIR/lib, DIR/share. Configuration is in /etc for /usr, else in DIR/etc
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,
    /// Put it below DIR, which stands for the root of the machine it is for
    #[arg(long, value_name = "DIR")]
    destdir: Option<PathBuf>,
    /// Which build
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Take what has been built
    #[arg(long)]
    no_build: bool,
    /// Change nothing: say whether all that was installed there is there, unchanged
    #[arg(long, conflicts_with = "no_build")]
    check: bool,
}

/// A build of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// As for tests: quick to build.
    Dev,
    /// Optimised, without what debuggers read.
    Release,
}

/// Installs, or checks what is installed.
///
/// # Errors
/// When something cannot be built, read or written; with `--check` when something is not as it was installed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let layout = Layout::new(&options.prefix)?;
    let destdir = options.destdir.as_deref().unwrap_or(Path::new("/"));
    let destdir = std::path::absolute(destdir)?;
    if options.check {
        return check(&destdir, &layout);
    }
    if !options.no_build {
        test::build(workspace, options.profile == Profile::Release)?;
    }
    install(workspace, &destdir, &layout, options.profile)
}

/// Installs what has been built below `destdir`.
///
/// # Errors
/// When something cannot be read or written.
pub(crate) fn install(
    workspace: &Workspace,
    destdir: &Path,
    layout: &Layout,
    profile: Profile,
) -> Result<()> {
    let scratch = Scratch::new(&workspace.nn())?;
    let programs = programs(workspace, profile, scratch.path())?;
    let manual = scratch.path().join("manual");
    write_manual(&programs, &manual)?;
    let notices = scratch.path().join("notices");
    fs::write(&notices, notices::text(workspace, &process::target()?)?)?;
    let sources = Sources {
        root: workspace.root().to_path_buf(),
        programs,
        runtimes: workspace.nn().join("runtimes"),
        guests: workspace.nn().join("guests"),
        manual,
        notices,
    };
    let entries = tree::collect(&sources, layout)?;
    let old = List::read(destdir, layout).unwrap_or_default();
    let done = place::put(destdir, &entries)?;
    let list = List::of(destdir, &entries)?;
    let gone = place::remove(destdir, &old.without(&list))?;
    list.write(destdir, layout)?;
    for path in &done.kept {
        talk(&format!(
            "install: {} has been changed and stays; the new one is beside it, as .new",
            path.display()
        ));
    }
    talk(&format!(
        "install: {} files in {} ({} changed, {gone} old ones gone)",
        entries.len(),
        destdir.join(layout.prefix()).display(),
        done.written
    ));
    Ok(())
}

fn check(destdir: &Path, layout: &Layout) -> Result<()> {
    let list = List::read(destdir, layout)?;
    let findings = list.verify(destdir);
    for finding in &findings {
        data(finding);
    }
    if !findings.is_empty() {
        bail!(
            "{} of {} files are not as they were installed\nhint: install again",
            findings.len(),
            list.len()
        );
    }
    talk(&format!("install: {} files are as installed", list.len()));
    Ok(())
}

/// The programs as they are to be installed: the built ones, or copies without what debuggers read.
fn programs(workspace: &Workspace, profile: Profile, scratch: &Path) -> Result<PathBuf> {
    let built = workspace.profile(match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    });
    for name in tree::programs() {
        if !built.join(name).is_file() {
            bail!(
                "{} is not there\nhint: leave out --no-build",
                built.join(name).display()
            );
        }
    }
    if profile == Profile::Dev {
        return Ok(built);
    }
    let stripped = scratch.join("programs");
    fs::create_dir_all(&stripped)?;
    for name in tree::programs() {
        // The names of functions stay, for the text of a panic.
        let mut strip = process::command("strip");
        strip
            .arg("--strip-debug")
            .arg("-o")
            .arg(stripped.join(name));
        process::run_quietly(strip.arg(built.join(name)))?;
    }
    Ok(stripped)
}

fn write_manual(programs: &Path, folder: &Path) -> Result<()> {
    for name in WITH_MANUAL {
        let mut program = process::command(programs.join(name));
        program.arg("--write-manual").arg(folder);
        process::run_quietly(&mut program)
            .with_context(|| format!("{name} does not write its manual"))?;
    }
    Ok(())
}

/// A path below a folder, from an absolute one: `/usr` is `usr`.
fn relative(path: &Path) -> PathBuf {
    let named = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_)));
    named.collect()
}

#[cfg(test)]
mod tests;
