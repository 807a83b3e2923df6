//! `cargo xtask setup`: the native libraries, the models and the data in target/nn, each verified; and what tests need besides.
//!
//! Nothing is downloaded at build time, and nothing here is decided: the manifests in models/ say what, from where, with
//! which digest. A file is in place when it is whole and right, never half: it is made in a scratch folder on the same
//! file system, verified, and renamed. A second run finds everything in place by its record and does nothing.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::manifest::{Manifest, Wheel};
use crate::output::{size, talk};
use crate::workspace::Workspace;

mod clients;
mod fetch;
mod ir;
mod record;
mod scratch;
mod unpack;
mod verify;

pub(crate) use scratch::Scratch;

use record::Record;

/// Puts in place whatever is not there yet.
///
/// # Errors
/// When a manifest is wrong, a download fails, or what came is not what was expected.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let started = Instant::now();
    let manifests = Manifest::read_all(&workspace.models())?;
    let folder = workspace.nn();
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let _alone = lock(&folder)?;
    // A run that was killed may have left something, and this one may need no scratch folder of its own.
    scratch::remove_abandoned(&folder);
    scratch::remove_abandoned(workspace.cache());
    let mut record = Record::open(&folder);
    let mut made = 0_u32;
    for manifest in &manifests {
        made += set_up(workspace, manifest, &mut record)
            .with_context(|| format!("{} could not be set up", manifest.title))?;
    }
    // By now the library that makes them is in place.
    for manifest in &manifests {
        made += ir::set_up(workspace, manifest, &mut record)
            .with_context(|| format!("{}: no IR could be made", manifest.title))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let (files, bytes) = record.total();
    if made > 0 {
        talk(&format!(
            "setup: took {seconds:.1} s to make what was missing"
        ));
    }
    talk(&format!(
        "setup: {files} files in place in {} ({})",
        folder.display(),
        size(bytes)
    ));
    Ok(())
}

/// As [`run`], and the clients that only tests need.
///
/// # Errors
/// As [`run`], and when there is no Python that can have them.
pub(crate) fn run_for_tests(workspace: &Workspace) -> Result<()> {
    run(workspace)?;
    let _alone = lock(&workspace.nn())?;
    clients::set_up(workspace).context("the clients of tests could not be set up")
}

/// Puts in place what one manifest names, and counts the files that had to be made.
fn set_up(workspace: &Workspace, manifest: &Manifest, record: &mut Record) -> Result<u32> {
    let mut made = 0;
    let mut introduced = false;
    for wheel in &manifest.wheels {
        let mut missing = Vec::new();
        for take in &wheel.takes {
            let (digest, bytes) = take.result();
            if !record.holds(&take.to, digest, bytes)? {
                missing.push(take);
            }
        }
        if missing.is_empty() {
            continue;
        }
        if !introduced {
            talk(&format!("setup: {} ({})", manifest.title, manifest.licence));
            introduced = true;
        }
        expect_architecture(wheel, std::env::consts::ARCH)?;
        let file = fetch::wheel(workspace.cache(), wheel)?;
        for take in missing {
            let scratch = Scratch::new(record.folder())?;
            let result = unpack::take(&workspace.models(), &file, take, &scratch)?;
            let (digest, bytes) = take.result();
            record.place(&result, &take.to, digest, bytes)?;
            talk(&format!("setup:   {} ({})", take.to, size(bytes)));
            made += 1;
        }
    }
    if let Some(labels) = &manifest.labels {
        made += u32::from(copy_labels(&workspace.models().join(labels), record)?);
    }
    Ok(made)
}

/// Copies a file of names to data/, and tells whether it had to.
fn copy_labels(source: &Path, record: &mut Record) -> Result<bool> {
    let name = source.file_name().context("labels have no file name")?;
    let to = format!("data/{}", name.to_string_lossy());
    let (digest, bytes) = verify::measure(source)?;
    if record.holds(&to, &digest, bytes)? {
        return Ok(false);
    }
    let scratch = Scratch::new(record.folder())?;
    let copy = scratch.path().join(name);
    fs::copy(source, &copy).with_context(|| format!("{} cannot be copied", source.display()))?;
    record.place(&copy, &to, &digest, bytes)?;
    Ok(true)
}

/// Two runs at once would fetch everything twice: the second waits for the first, which is bounded by its three tries.
fn lock(folder: &Path) -> Result<fs::File> {
    let path = folder.join(".lock");
    let file =
        fs::File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    if file.try_lock().is_err() {
        talk("setup: another setup is running; waiting for it");
        file.lock()
            .with_context(|| format!("{} cannot be locked", path.display()))?;
    }
    Ok(file)
}

fn expect_architecture(wheel: &Wheel, here: &str) -> Result<()> {
    match &wheel.architecture {
        Some(needed) if needed != here => bail!(
            "{} is pinned for {needed}, and this machine is {here}\n\
             hint: add the wheel for {here}, with its digests, to models/",
            wheel.package
        ),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
