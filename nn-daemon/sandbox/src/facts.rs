//! What this kernel offers to this process, and why not where it does not. What cannot be known without
//! trying (whether a namespace may be made) somebody else tries, and marks it here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetError, Scope,
};
use nix::unistd::geteuid;

use crate::Layer;

/// Landlock as it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LandlockParts {
    files: bool,
    tcp: bool,
    scopes: bool,
}

/// What is missing. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    missing: BTreeMap<Layer, String>,
    /// What of a layer that is there is not.
    parts: BTreeMap<Layer, String>,
    landlock: Option<LandlockParts>,
}

// === impl Facts ===

impl Facts {
    /// Reads /proc and asks the kernel; changes nothing.
    #[must_use]
    pub fn read() -> Self {
        let mut facts = Self::default();
        for layer in Layer::ALL {
            if let Some(why) = layer
                .namespace_file()
                .and_then(|file| no_namespace(layer, file))
            {
                facts.mark(layer, &why);
            }
        }
        let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
        // Where it cannot be read nothing is known, and the seal will say.
        if actions.is_ok_and(|actions| !actions.contains("kill_process")) {
            facts.mark(
                Layer::Seccomp,
                "the kernel does not know SECCOMP_RET_KILL_PROCESS (Linux 4.14, CONFIG_SECCOMP_FILTER)",
            );
        }
        let landlock = landlock();
        if !landlock.files {
            facts.mark(
                Layer::Landlock,
                "the kernel has no Landlock (Linux 5.13, CONFIG_SECURITY_LANDLOCK), or `lsm=` leaves it out",
            );
        }
        facts.landlock = Some(landlock);
        facts
    }

    /// Whether only the privileged may make namespaces here, though the kernel has user namespaces.
    #[must_use]
    pub fn namespaces_take_privileges() -> bool {
        let is = |name: &str, value: &str| {
            let path = Path::new("/proc/sys/kernel").join(name);
            fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
        };
        is("unprivileged_userns_clone", "0") || is("apparmor_restrict_unprivileged_userns", "1")
    }

    /// Takes a layer for missing, and says why. The first reason stays.
    pub fn mark(&mut self, layer: Layer, why: &str) {
        self.missing.entry(layer).or_insert_with(|| why.to_owned());
    }

    /// Takes a layer for there in part, and says what is not.
    pub fn note(&mut self, layer: Layer, lacks: &str) {
        self.parts.insert(layer, lacks.to_owned());
    }

    /// Why a layer is missing; `None` where nothing speaks against it.
    #[must_use]
    pub fn missing(&self, layer: Layer) -> Option<&str> {
        self.missing.get(&layer).map(String::as_str)
    }

    /// What of a layer that is there this kernel does not have yet.
    pub(crate) fn lacks(&self, layer: Layer) -> Option<String> {
        if let Some(lacks) = self.parts.get(&layer) {
            return Some(lacks.clone());
        }
        let parts = self.landlock.filter(|_| layer == Layer::Landlock)?;
        let lacks = [
            (!parts.tcp, "TCP is not restricted (Linux 6.7)"),
            (
                !parts.scopes,
                "signals and abstract sockets are not (Linux 6.12)",
            ),
        ];
        let lacks: Vec<&str> = lacks
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, text)| *text)
            .collect();
        (!lacks.is_empty()).then(|| lacks.join("; "))
    }
}

/// Why this namespace cannot be had, as far as reading tells.
fn no_namespace(layer: Layer, file: &str) -> Option<String> {
    let files = Path::new("/proc/self/ns");
    if files.exists() && !files.join(file).exists() {
        return Some("the kernel was built without it".to_owned());
    }
    let sysctl = |path: &str| {
        let text = fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    if sysctl(&format!("user/max_{file}_namespaces")) == Some(0) {
        return Some(format!("the sysctl user.max_{file}_namespaces is 0"));
    }
    let unprivileged = !geteuid().is_root();
    if layer == Layer::UserNs
        && unprivileged
        && sysctl("kernel/unprivileged_userns_clone") == Some(0)
    {
        return Some("the sysctl kernel.unprivileged_userns_clone is 0".to_owned());
    }
    None
}

fn landlock() -> LandlockParts {
    let hard = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let all = |access: BitFlags<AccessNet>| hard().handle_access(access).and_then(Ruleset::create);
    let files = hard()
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create);
    let scopes = hard()
        .scope(Scope::AbstractUnixSocket | Scope::Signal)
        .and_then(Ruleset::create);
    let there = |created: Result<_, RulesetError>| created.is_ok();
    LandlockParts {
        files: there(files),
        tcp: there(all(AccessNet::BindTcp | AccessNet::ConnectTcp)),
        scopes: there(scopes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let mut facts = Facts::default();
        facts.mark(Layer::PidNs, "one");
        facts.mark(Layer::PidNs, "two");
        assert_eq!(facts.missing(Layer::PidNs), Some("one"));
    }

    #[test]
    fn an_old_landlock_says_what_it_lacks() {
        let facts = Facts {
            landlock: Some(LandlockParts {
                files: true,
                tcp: true,
                scopes: false,
            }),
            ..Facts::default()
        };
        let lacks = facts.lacks(Layer::Landlock).unwrap();
        assert!(
            lacks.contains("signals") && !lacks.contains("TCP"),
            "{lacks}"
        );
        assert_eq!(facts.lacks(Layer::Seccomp), None);
    }

    #[test]
    fn reading_changes_nothing_and_does_not_fail() {
        let facts = Facts::read();
        assert_eq!(facts.missing(Layer::NoNewPrivs), None);
    }
}
