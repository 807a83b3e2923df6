//! Brings one wheel into the cache, by pip, pinned by its digest.
//!
//! pip is asked for the very file that the manifest names, whatever Python runs it, through whatever index or mirror
//! its user has configured. A wheel is read and verified on each use.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};

use super::{Scratch, verify};
use crate::manifest::Wheel;
use crate::output::{explain, size, talk};
use crate::process;

const TRIES_MAX: u32 = 3;

/// Returns the path of the verified wheel, downloading it if need be.
///
/// # Errors
/// When three tries did not bring the right file.
pub(crate) fn wheel(cache: &Path, wheel: &Wheel) -> Result<PathBuf> {
    with_downloader(cache, wheel, download)
}

/// As [`wheel`], with the way to download given: it puts the wheel's file into a folder.
pub(crate) fn with_downloader(
    cache: &Path,
    wheel: &Wheel,
    mut download: impl FnMut(&Wheel, &Path) -> Result<()>,
) -> Result<PathBuf> {
    let path = cache.join(&wheel.file);
    if path.exists() {
        match verify::expect(&path, &wheel.sha256, wheel.bytes) {
            Ok(()) => return Ok(path),
            Err(error) => {
                talk(&format!(
                    "setup: in the cache, {error:#}\nsetup: fetching it again"
                ));
                fs::remove_file(&path)
                    .with_context(|| format!("{} cannot be removed", path.display()))?;
            }
        }
    }
    talk(&format!(
        "setup: fetching {} {} ({})",
        wheel.package,
        wheel.version,
        size(wheel.bytes)
    ));
    let mut attempt = 1;
    loop {
        match once(cache, wheel, &mut download) {
            Ok(()) => return Ok(path),
            Err(error) if attempt < TRIES_MAX => {
                talk(&format!(
                    "setup: try {attempt} of {TRIES_MAX}: {}",
                    explain(&error)
                ));
            }
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "{} {} did not come in {TRIES_MAX} tries\n\
                         hint: check that this machine reaches its Python package index, then run `cargo xtask setup` \
                         again; or put {} into {} by hand",
                        wheel.package,
                        wheel.version,
                        wheel.file,
                        cache.display()
                    )
                });
            }
        }
        attempt += 1;
    }
}

fn once(
    cache: &Path,
    wheel: &Wheel,
    download: &mut impl FnMut(&Wheel, &Path) -> Result<()>,
) -> Result<()> {
    let scratch = Scratch::new(cache)?;
    download(wheel, scratch.path())?;
    let came = scratch.path().join(&wheel.file);
    verify::place(&came, &cache.join(&wheel.file), &wheel.sha256, wheel.bytes)
}

/// Asks pip for the wheel.
fn download(wheel: &Wheel, folder: &Path) -> Result<()> {
    let requirements = folder.join("requirements.txt");
    let line = format!(
        "{}=={} --hash=sha256:{}\n",
        wheel.package,
        wheel.version,
        wheel.sha256.as_str()
    );
    fs::write(&requirements, line)?;
    let mut pip = process::command("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-input"])
        .args(["--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary=:all:", "--require-hashes"])
        .args(["--retries", "2", "--timeout", "30"])
        .args(tags(&wheel.file))
        .arg("--requirement")
        .arg(&requirements)
        .arg("--dest")
        .arg(folder);
    process::run_quietly(&mut pip).map_err(|error| match has_pip() {
        true => error,
        false => anyhow!(
            "there is no pip for python3\nhint: install it (Debian: apt-get install python3-pip)"
        ),
    })
}

fn has_pip() -> bool {
    let mut pip = process::command("python3");
    process::run_quietly(pip.args(["-m", "pip", "--version"])).is_ok()
}

/// The options that make pip take the wheel of this name, also where another Python or system asks.
fn tags(file: &str) -> Vec<String> {
    let stem = file.strip_suffix(".whl").unwrap_or(file);
    let mut parts = stem.rsplit('-');
    let platforms = parts.next().unwrap_or("any");
    let abi = parts.next().unwrap_or("none");
    let mut options = vec!["--python-version".to_owned(), "3.11".to_owned()];
    if platforms != "any" {
        options.extend(["--implementation".to_owned(), "cp".to_owned()]);
        options.extend(["--abi".to_owned(), abi.to_owned()]);
        for platform in platforms.split('.') {
            options.extend(["--platform".to_owned(), platform.to_owned()]);
        }
    }
    options
}

#[cfg(test)]
mod tests;
