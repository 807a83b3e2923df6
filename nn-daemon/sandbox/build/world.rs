//! `NAME.toml`: what a worker's world looks like, as written.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// The layers that there are, and their names in the code.
const LAYERS: [(&str, &str); 10] = [
    ("userns", "UserNs"),
    ("mntns", "MountNs"),
    ("pidns", "PidNs"),
    ("netns", "NetNs"),
    ("ipcns", "IpcNs"),
    ("utsns", "UtsNs"),
    ("cgroupns", "CgroupNs"),
    ("landlock", "Landlock"),
    ("no_new_privs", "NoNewPrivs"),
    ("seccomp", "Seccomp"),
];

/// The bounds that there are.
const LIMITS: [(&str, &str); 9] = [
    ("core", "Core"),
    ("fsize", "FileSize"),
    ("nofile", "Descriptors"),
    ("memlock", "LockedMemory"),
    ("msgqueue", "MessageQueues"),
    ("sigpending", "QueuedSignals"),
    ("stack", "Stack"),
    ("data", "Data"),
    ("nproc", "Processes"),
];

/// A profile.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct World {
    version: u32,
    pub(crate) seccomp: String,
    require: Vec<String>,
    prefer: Vec<String>,
    threads: Threads,
    #[serde(default)]
    root: Root,
    rlimit: toml::Table,
    landlock: Landlock,
    seal: Seal,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Threads {
    max: u32,
    besides: u32,
    why: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    #[serde(default)]
    bind: Vec<Bind>,
    #[serde(default)]
    library: Vec<Library>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bind {
    path: String,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Library {
    name: String,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Landlock {
    fs: String,
    net: String,
    scope: Vec<String>,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    after: String,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    max: toml::Value,
    why: String,
}

/// Reads and checks.
pub(crate) fn read(path: &Path) -> Result<World, Box<dyn Error>> {
    let world: World = toml::from_str(&fs::read_to_string(path)?)?;
    let landlock = &world.landlock;
    let fixed = [
        (world.version == 1, "version 1"),
        (world.seal.after == "warm-up", "seal.after = \"warm-up\""),
        (
            landlock.fs == "read and execute below the binds",
            "landlock.fs = \"read and execute below the binds\"",
        ),
        (landlock.net == "none", "landlock.net = \"none\""),
        (
            landlock.scope == ["abstract-unix", "signal"],
            "landlock.scope = [\"abstract-unix\", \"signal\"]",
        ),
        (
            binds(&world.root.bind),
            "[[root.bind]] with path = \"runtime\" first, then absolute paths; or none",
        ),
    ];
    if let Some((_, expected)) = fixed.iter().find(|(is, _)| !is) {
        return Err(format!("expected {expected}").into());
    }
    if world
        .root
        .library
        .iter()
        .any(|library| library.name.contains('/'))
    {
        return Err("expected libraries by name, not by path".into());
    }
    Ok(world)
}

fn binds(binds: &[Bind]) -> bool {
    let Some((runtime, others)) = binds.split_first() else {
        // Without a framework: the root is empty.
        return true;
    };
    runtime.path == "runtime" && others.iter().all(|bind| bind.path.starts_with('/'))
}

// === impl World ===

impl World {
    /// Fields of `Profile`.
    pub(crate) fn code(&self) -> String {
        let mut code = format!(
            "require: &[{}], prefer: &[{}], threads_max: {}, threads_why: {:?}, landlock_why: {:?}, seal_why: {:?}, ",
            layers(&self.require),
            layers(&self.prefer),
            self.threads.max,
            self.threads.why,
            self.landlock.why,
            self.seal.why,
        );
        code.push_str("binds: &[");
        for bind in &self.root.bind {
            let _ = write!(
                code,
                "Bind {{ path: {:?}, why: {:?} }},",
                bind.path, bind.why
            );
        }
        code.push_str("], libraries: &[");
        for library in &self.root.library {
            let _ = write!(
                code,
                "Library {{ name: {:?}, why: {:?} }},",
                library.name, library.why
            );
        }
        code.push_str("], limits: &[");
        for (name, limit) in &self.rlimit {
            let _ = write!(
                code,
                "{},",
                bound(name, limit.clone(), self.threads.besides)
            );
        }
        code.push_str("], ");
        code
    }
}

fn layers(names: &[String]) -> String {
    let known = |name: &String| format!("{},", layer(name));
    names.iter().map(known).collect()
}

/// A layer's name in the code.
#[expect(clippy::panic, reason = "a build script says no by failing")]
pub(crate) fn layer(name: &str) -> String {
    let found = LAYERS.iter().find(|(layer, _)| *layer == name);
    found.map_or_else(
        || panic!("there is no layer {name:?}"),
        |(_, code)| format!("Layer::{code}"),
    )
}

#[expect(clippy::panic, reason = "a build script says no by failing")]
fn bound(name: &str, value: toml::Value, threads_besides: u32) -> String {
    let Some((_, kind)) = LIMITS.iter().find(|(limit, _)| *limit == name) else {
        panic!("there is no rlimit {name:?}")
    };
    let limit: Limit = match value.try_into() {
        Ok(limit) => limit,
        Err(error) => panic!("rlimit {name}: {error}"),
    };
    let max = match (&limit.max, name) {
        (toml::Value::Integer(max), _) if *max >= 0 => format!("Max::Fixed({max})"),
        (toml::Value::String(word), "data" | "fsize") if word == "budget" => {
            "Max::Budget".to_owned()
        }
        (toml::Value::String(word), "nproc") if word == "threads" => {
            format!("Max::Threads({threads_besides})")
        }
        (other, _) => panic!("rlimit {name}: {other} is no bound for it"),
    };
    format!(
        "Bound {{ limit: Limit::{kind}, max: {max}, why: {:?} }}",
        limit.why
    )
}
