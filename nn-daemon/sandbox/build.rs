//! Profiles into code: what `sandbox-profiles/` says is checked and compiled here, so that no process
//! reads a profile when it runs.

#[path = "build/calls.rs"]
mod calls;
#[path = "build/world.rs"]
mod world;

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Architectures that every profile is compiled for, whatever is being built.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../sandbox-profiles");
    println!("cargo::rerun-if-changed={}", folder.display());
    let ours = env::var("CARGO_CFG_TARGET_ARCH")?;
    if !ARCHITECTURES.contains(&ours.as_str()) {
        return Err(format!(
            "there are no sandbox profiles for {ours}; see sandbox-profiles/README.md"
        )
        .into());
    }
    let mut code = String::from("pub(crate) static PROFILES: &[Profile] = &[\n");
    for name in names(&folder)? {
        let told = |error: Box<dyn Error>| format!("sandbox profile {name}: {error}");
        let world = world::read(&folder.join(format!("{name}.toml"))).map_err(told)?;
        write!(code, "Profile {{ name: {name:?}, {}", world.code()).map_err(|e| e.to_string())?;
        for architecture in ARCHITECTURES {
            let path = folder
                .join(architecture)
                .join(format!("{}.json", world.seccomp));
            let calls = calls::read(&path, &world.seccomp, architecture).map_err(told)?;
            if architecture == ours {
                code.push_str(&calls.code());
            }
        }
        code.push_str("},\n");
    }
    code.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("profiles.rs"), code)?;
    Ok(())
}

/// Every `NAME.toml`, in order.
fn names(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            names.push(stem.ok_or("a profile's name is not UTF-8")?.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
