//! Who a worker is: one uid and one gid, the same number, that stand for an unprivileged user outside.
//!
//! A spawner that may (root, or CAP_SETUID and CAP_SETGID) gives each worker a uid that nobody else has; then not
//! even a worker that escaped all its walls could touch another. One that may not maps its own.

use std::{fs, io};

use nix::unistd::{Pid, getegid, geteuid};

/// Who a worker is to itself: "nobody". Not 0, which would bring privileges of its namespace along.
pub(crate) const INSIDE: u32 = 65_534;

/// The maps of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Outside, uid and gid.
    outside: (u32, u32),
    /// Whether groups must be given up for good before the map is taken.
    deny_groups: bool,
}

/// Whether this process may map `count` uids from `first` on, though they are not its own.
pub(crate) fn may_map(first: u32, count: u32) -> bool {
    let there = |file: &str| covers(&fs::read_to_string(file).unwrap_or_default(), first, count);
    has_capabilities() && there("/proc/self/uid_map") && there("/proc/self/gid_map")
}

/// Whether a map of this process's own namespace (inside, outside, count) has all of these numbers inside.
fn covers(map: &str, first: u32, count: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(inside)), _, Some(Ok(length))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        let (first, end) = (
            u64::from(first),
            u64::from(first).saturating_add(count.into()),
        );
        inside <= first && end <= inside.saturating_add(length)
    })
}

fn has_capabilities() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    // CAP_SETGID and CAP_SETUID.
    bits.is_some_and(|bits| bits & 0xc0 == 0xc0)
}

// === impl Ids ===

impl Ids {
    /// A uid and gid of its own.
    pub(crate) fn own(uid: u32) -> Self {
        Self {
            outside: (uid, uid),
            deny_groups: false,
        }
    }

    /// The spawner's.
    pub(crate) fn ours() -> Self {
        Self {
            outside: (geteuid().as_raw(), getegid().as_raw()),
            deny_groups: true,
        }
    }

    /// Writes the maps of a child that waits for them.
    pub(crate) fn write(&self, child: Pid) -> io::Result<()> {
        let write = |file: &str, text: String| {
            let path = format!("/proc/{child}/{file}");
            let told =
                |error: io::Error| io::Error::new(error.kind(), format!("writing {path}: {error}"));
            fs::write(&path, text).map_err(told)
        };
        if self.deny_groups {
            write("setgroups", "deny".to_owned())?;
        }
        let (uid, gid) = self.outside;
        write("uid_map", format!("{INSIDE} {uid} 1"))?;
        write("gid_map", format!("{INSIDE} {gid} 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_namespace_maps_every_uid() {
        assert!(covers(
            "         0          0 4294967295\n",
            1_900_000_000,
            256
        ));
    }

    #[test]
    fn a_container_maps_few() {
        let map = "0 1000 1\n1 100000 65536\n";
        assert!(!covers(map, 1_900_000_000, 256));
        assert!(covers(map, 60_000, 256));
        assert!(!covers(map, 65_500, 256));
    }
}
