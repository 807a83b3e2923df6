//! Profiles into code: what `sandbox-profiles/` says is checked and compiled here, so that no process
//! reads a profile when it runs.

#[path = "build/calls.rs"]
mod calls;
#[path = "build/own.rs"]
mod own;
#[path = "build/world.rs"]
mod world;

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

/// Architectures that every profile is compiled for, whatever is being built.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// What the names of workers' profiles begin with; all others are those of our own processes, but for that of relays,
/// which are started as workers are.
const WORKER: &str = "worker-";
const RELAY: &str = "relay";

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
    let (mut workers, mut own) = (String::new(), String::new());
    for name in names(&folder)? {
        let told = |error: Box<dyn Error>| format!("sandbox profile {name}: {error}");
        if name.starts_with(WORKER) || name == RELAY {
            workers.push_str(&worker(&folder, &name, &ours).map_err(told)?);
        } else {
            own.push_str(&process(&folder, &name, &ours).map_err(told)?);
        }
    }
    let code = format!(
        "pub(crate) static PROFILES: &[Profile] = &[\n{workers}];\n\
         pub(crate) static OWN: &[OwnProfile] = &[\n{own}];\n"
    );
    fs::write(Path::new(&env::var("OUT_DIR")?).join("profiles.rs"), code)?;
    Ok(())
}

/// A worker's profile as code.
fn worker(folder: &Path, name: &str, ours: &str) -> Result<String, Box<dyn Error>> {
    let world = world::read(&folder.join(format!("{name}.toml")))?;
    let mut code = format!("Profile {{ name: {name:?}, {}", world.code());
    let max = calls::WORKER_RULES_MAX;
    for (architecture, calls) in every(folder, &world.seccomp, max)? {
        if let Some(other) = calls.answered_besides("clone3") {
            return Err(
                format!("a worker's call is allowed, or its end; {other} is answered").into(),
            );
        }
        if architecture == ours {
            code.push_str(&calls.code());
            code.push_str(&calls.answered_code());
        }
    }
    Ok(code + "},\n")
}

/// The profile of a process of our own as code.
fn process(folder: &Path, name: &str, ours: &str) -> Result<String, Box<dyn Error>> {
    let own = own::read(&folder.join(format!("{name}.toml")))?;
    let mut code = format!("OwnProfile {{ name: {name:?}, {}", own.code());
    for (architecture, calls) in every(folder, name, calls::OWN_RULES_MAX)? {
        if architecture == ours {
            code.push_str(&calls.code());
            code.push_str(&calls.answered_code());
        }
    }
    Ok(code + "},\n")
}

/// Its calls, on each architecture.
fn every(
    folder: &Path,
    name: &str,
    rules_max: usize,
) -> Result<Vec<(&'static str, calls::Calls)>, Box<dyn Error>> {
    let read = |architecture: &'static str| {
        let path = folder.join(architecture).join(format!("{name}.json"));
        let calls = calls::read(&path, name, architecture, rules_max)?;
        Ok((architecture, calls))
    };
    ARCHITECTURES.into_iter().map(read).collect()
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
