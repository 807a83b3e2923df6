//! `cargo xtask guests`: rebuilds the guests that tests and the demo use, by guests/build.sh.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::process;
use crate::workspace::Workspace;

/// What to build, and where to.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder for the built guests [default: guests/bin]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Names of guests [default: all]
    guests: Vec<String>,
}

/// Builds the guests.
///
/// # Errors
/// When the script fails; it says what is missing.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut build = process::command("sh");
    build.arg(workspace.root().join("guests/build.sh"));
    if let Some(out) = &options.out {
        build.arg("--out").arg(out);
    }
    build.args(&options.guests);
    process::run(build.current_dir(workspace.root()))
}
