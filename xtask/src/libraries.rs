//! `cargo xtask libraries`: what the built programs link to, by `readelf -d`, against a list.
//!
//! The list is short on purpose: no program links a machine-learning library. A worker opens its framework at run time,
//! inside its sandbox; nobody else does at all.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;

use crate::output::{data, talk};
use crate::process;
use crate::workspace::Workspace;

const PROGRAMS: [&str; 7] = [
    "nn-daemon",
    "nn-spawner",
    "nn-worker",
    "nn-relay",
    "nn-dialer",
    "nn-host",
    "nnctl",
];

/// Sonames start with one of these: the C library, its parts and loader, and the unwinder.
const ALLOWED: [&str; 5] = [
    "libc.so.",
    "libm.so.",
    "libgcc_s.so.",
    "ld-linux",
    "linux-vdso.so.",
];

/// Which builds to look at.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// The release builds
    #[arg(long)]
    release: bool,
}

/// Checks each program that has been built.
///
/// # Errors
/// When one links to a library that is not on the list, or cannot be read.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if !process::is_available("readelf", "--version") {
        talk("libraries: skipped: readelf is not installed (Debian: apt-get install binutils)");
        return Ok(());
    }
    let (mut checked, mut findings) = (0, 0);
    for name in PROGRAMS {
        let program = workspace.program(name, options.release);
        if !program.exists() {
            talk(&format!("libraries: {name} skipped: not built"));
            continue;
        }
        checked += 1;
        for library in needed(&read(&program)?) {
            if !is_allowed(library) {
                data(&format!("{}: links {library}", program.display()));
                findings += 1;
            }
        }
    }
    if findings > 0 {
        bail!("{findings} libraries are linked that are not on the list in xtask/src/libraries.rs");
    }
    talk(&format!(
        "libraries: {checked} programs link only the C library and the unwinder"
    ));
    Ok(())
}

fn read(program: &Path) -> Result<String> {
    let mut readelf = process::command("readelf");
    // Its words are translated where the user's language is.
    process::output(readelf.env("LC_ALL", "C").arg("-dW").arg(program))
}

/// The sonames in what readelf prints.
fn needed(dynamic_section: &str) -> Vec<&str> {
    dynamic_section
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split_once('[')?.1.split_once(']'))
        .map(|(name, _)| name)
        .collect()
}

fn is_allowed(library: &str) -> bool {
    ALLOWED.iter().any(|start| library.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "
Dynamic section at offset 0x1d8 contains 3 entries:
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [libonnxruntime.so.1]
 0x000000000000000c (INIT)               0x1000
";

    #[test]
    fn sonames_are_found() {
        assert_eq!(needed(PRINTED), ["libc.so.6", "libonnxruntime.so.1"]);
    }

    #[test]
    fn machine_learning_library_is_not_allowed() {
        assert!(is_allowed("libc.so.6"));
        assert!(is_allowed("ld-linux-x86-64.so.2"));
        assert!(!is_allowed("libonnxruntime.so.1"));
    }
}
