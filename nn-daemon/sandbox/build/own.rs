//! `NAME.toml` of a process of our own: what the broker or the spawner keeps, as written.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::world::layer;

/// The capabilities that a profile may name.
const CAPABILITIES: [&str; 6] = [
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_SYS_ADMIN",
    "CAP_SYS_PTRACE",
];

/// What may be done below a place, and its name in the code.
const ACCESS: [(&str, &str); 4] = [
    ("keep", "Access::Keep"),
    ("read", "Access::Read"),
    ("list", "Access::List"),
    ("remove", "Access::Remove"),
];

/// A profile.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Own {
    version: u32,
    process: String,
    layer: Vec<OwnLayer>,
    #[serde(default)]
    grant: Vec<Grant>,
    #[serde(default)]
    capability: Vec<Capability>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnLayer {
    name: String,
    need: String,
    what: String,
    without: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    place: String,
    access: String,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Capability {
    name: String,
    when: String,
    why: String,
}

/// Reads and checks.
pub(crate) fn read(path: &Path) -> Result<Own, Box<dyn Error>> {
    let own: Own = toml::from_str(&fs::read_to_string(path)?)?;
    let landlock = own.layer.iter().any(|layer| layer.name == "landlock");
    let known = |name: &str| CAPABILITIES.contains(&name);
    let fixed = [
        (own.version == 1, "version 1"),
        (
            landlock != own.grant.is_empty(),
            "[[grant]] where there is the layer landlock, and nowhere else",
        ),
        (
            own.capability.iter().all(|one| known(&one.name)),
            "capabilities that build/own.rs knows",
        ),
        (
            own.layer.iter().all(|layer| need(&layer.need).is_some()),
            "need = \"require\" or \"prefer\"",
        ),
        (
            own.grant
                .iter()
                .all(|grant| access(&grant.access).is_some()),
            "access = \"keep\", \"read\", \"list\" or \"remove\"",
        ),
        (
            own.capability.iter().all(|one| when(&one.when).is_some()),
            "when = \"always\" or \"privileged\"",
        ),
    ];
    match fixed.iter().find(|(is, _)| !is) {
        Some((_, expected)) => Err(format!("expected {expected}").into()),
        None => Ok(own),
    }
}

fn need(word: &str) -> Option<&'static str> {
    match word {
        "require" => Some("Need::Require"),
        "prefer" => Some("Need::Prefer"),
        _ => None,
    }
}

fn when(word: &str) -> Option<&'static str> {
    match word {
        "always" => Some("When::Always"),
        "privileged" => Some("When::Privileged"),
        _ => None,
    }
}

fn access(word: &str) -> Option<&'static str> {
    let found = ACCESS.iter().find(|(name, _)| *name == word);
    found.map(|(_, code)| *code)
}

// === impl Own ===

impl Own {
    /// Fields of `OwnProfile`. Everything in here has been checked.
    pub(crate) fn code(&self) -> String {
        let mut code = format!("process: {:?}, layers: &[", self.process);
        for one in &self.layer {
            let _ = write!(
                code,
                "OwnLayer {{ layer: {}, need: {}, what: {:?}, without: {:?} }},",
                layer(&one.name),
                need(&one.need).unwrap_or_default(),
                one.what,
                one.without
            );
        }
        code.push_str("], grants: &[");
        for grant in &self.grant {
            let _ = write!(
                code,
                "GrantRule {{ place: {:?}, access: {}, why: {:?} }},",
                grant.place,
                access(&grant.access).unwrap_or_default(),
                grant.why
            );
        }
        code.push_str("], capabilities: &[");
        for one in &self.capability {
            let _ = write!(
                code,
                "KeptCapability {{ name: {:?}, when: {}, why: {:?} }},",
                one.name,
                when(&one.when).unwrap_or_default(),
                one.why
            );
        }
        code.push_str("], ");
        code
    }
}
