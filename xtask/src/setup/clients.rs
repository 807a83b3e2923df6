//! Others' clients that tests run as they come: a virtual environment of Python in target/nn/clients, of what
//! tests/kserve/requirements.txt pins by digest. It is whole once it says what it was made of; a half one is made anew.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::output::talk;
use crate::process;
use crate::workspace::Workspace;

const REQUIREMENTS: &str = "tests/kserve/requirements.txt";

/// In target/nn; where it is made, since its programs name it.
const FOLDER: &str = "clients";

/// What it was made of. Written last.
const MADE_OF: &str = "made-of";

/// For 30 MB from an index, with pip's own tries.
const TIME_MAX: Duration = Duration::from_secs(300);

/// Makes it, unless it is there and of the same.
///
/// # Errors
/// When there is no Python that can, or a package does not come or is another one.
pub(crate) fn set_up(workspace: &Workspace) -> Result<()> {
    let requirements = workspace.root().join(REQUIREMENTS);
    let pinned = fs::read_to_string(&requirements)
        .with_context(|| format!("{} cannot be read", requirements.display()))?;
    let python = process::output(process::command("python3").args([
        "-c",
        "import sys; print(sys.version); print(sys.executable)",
    ]))?;
    let made_of = format!("{python}{pinned}");
    let folder = workspace.nn().join(FOLDER);
    if fs::read_to_string(folder.join(MADE_OF)).is_ok_and(|there| there == made_of) {
        return Ok(());
    }
    talk("setup: clients of KServe, for tests (Triton's, BSD-3-Clause)");
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    make(&folder, &requirements).context(
        "hint: tests/kserve/requirements.txt is for Python 3.11 to 3.13 on x86-64, and pip 22.3 or newer",
    )?;
    fs::write(folder.join(MADE_OF), made_of)?;
    Ok(())
}

fn make(folder: &Path, requirements: &Path) -> Result<()> {
    // Without its own pip: distributions keep that in another package.
    let mut venv = process::command("python3");
    venv.args(["-m", "venv", "--without-pip"]).arg(folder);
    process::output_within(&mut venv, TIME_MAX)?;
    let mut pip = process::command("python3");
    pip.args(["-m", "pip", "--python"])
        .arg(folder.join("bin/python"))
        .args(["install", "--quiet", "--no-input", "--no-deps"])
        .args(["--disable-pip-version-check", "--only-binary=:all:"])
        .args(["--require-hashes", "--retries", "2", "--timeout", "30"])
        .arg("--requirement")
        .arg(requirements);
    process::output_within(&mut pip, TIME_MAX).map(drop)
}
