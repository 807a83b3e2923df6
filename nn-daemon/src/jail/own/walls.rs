//! What the kernel says of one of our own processes, for as long as the daemon lives, and whether it is what was planned.

use std::io::{Read, Seek};

use nn_sandbox::Layer;
use nn_worker_wire::walls;

use super::{OwnJail, OwnJailError};

/// More than any `status` has.
const STATUS_BYTES_MAX: u64 = 16 * 1024;

/// What a process without a capability has in each set.
const NONE: &str = "0000000000000000";

/// `CAP_SETPCAP` among them: with it the bounding set is emptied, without it there is nothing to bound.
const SETPCAP: u64 = 1 << 8;

/// What the kernel said.
pub(crate) struct Walls(String);

// === impl OwnJail ===

impl OwnJail {
    /// What the kernel says of its walls now, in one line.
    pub(crate) fn kernel(&self) -> String {
        match self.walls() {
            Ok(Walls(status)) => walls(&status).replace('\t', " ").replace('\n', ", "),
            Err(error) => anyhow::Error::from(error).root_cause().to_string(),
        }
    }

    /// All that the kernel says of the process now.
    pub(crate) fn walls(&self) -> Result<Walls, OwnJailError> {
        let mut text = Vec::new();
        // From the beginning each time: the kernel writes it anew then. One thread reads (ADR 7).
        let mut status = &self.status;
        let read = status.rewind().and_then(|()| {
            let mut bounded = status.take(STATUS_BYTES_MAX);
            bounded.read_to_end(&mut text)
        });
        let pid = self.pid;
        read.map_err(|source| OwnJailError::Status { pid, source })?;
        Ok(Walls(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Whether what was planned is there. `kept`: the capabilities that may be left, if that is known.
    pub(super) fn check(&self, before: &Walls, kept: Option<u64>) -> Result<(), OwnJailError> {
        let after = self.walls()?;
        let active = self.plan.active();
        let mut expected: Vec<(&'static str, &str)> = Vec::new();
        if active.contains(&Layer::NoNewPrivs) {
            expected.push(("NoNewPrivs", "1"));
        }
        if active.contains(&Layer::Seccomp) {
            expected.push(("Seccomp", "2"));
        }
        expected.extend([("CapInh", NONE), ("CapAmb", NONE)]);
        if kept == Some(0) && before.bits("CapEff") & SETPCAP != 0 {
            expected.push(("CapBnd", NONE));
        }
        for (field, expected) in expected {
            let got = after.value(field).unwrap_or("nothing");
            if got != expected {
                return Err(self.wrong(field, expected, got));
            }
        }
        for field in ["CapPrm", "CapEff"] {
            if let Some(kept) = kept
                && after.bits(field) & !kept != 0
            {
                let expected = format!("at most {kept:016x}");
                let got = after.value(field).unwrap_or("nothing");
                return Err(self.wrong(field, &expected, got));
            }
        }
        // A filter that somebody else has installed before (a service manager) is none of ours.
        let filters = |walls: &Walls| walls.value("Seccomp_filters")?.parse::<u64>().ok();
        if active.contains(&Layer::Seccomp)
            && let (Some(before), Some(after)) = (filters(before), filters(&after))
            && after <= before
        {
            let expected = format!("more than {before}");
            return Err(self.wrong("Seccomp_filters", &expected, &after.to_string()));
        }
        Ok(())
    }

    fn wrong(&self, field: &'static str, expected: &str, got: &str) -> OwnJailError {
        OwnJailError::Field {
            process: self.plan.profile.process,
            field,
            expected: expected.to_owned(),
            got: got.to_owned(),
        }
    }
}

// === impl Walls ===

impl Walls {
    pub(crate) fn value(&self, field: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(':').is_some_and(|(name, _)| name == field);
        let line = self.0.lines().find(|line| of(line))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    fn bits(&self, field: &str) -> u64 {
        let bits = self.value(field);
        // What cannot be read is taken for everything.
        bits.and_then(|bits| u64::from_str_radix(bits, 16).ok())
            .unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use nn_sandbox::Facts;

    use super::*;

    fn jail() -> OwnJail {
        OwnJail::plan("broker", &Facts::read(), std::process::id(), true).unwrap()
    }

    fn walls_of(text: &str) -> Walls {
        Walls(text.to_owned())
    }

    #[test]
    fn a_process_that_did_not_jail_itself_is_found_out() {
        let jail = jail();
        let nothing = walls_of("Seccomp_filters:\t0\nCapEff:\t000001ffffffffff");
        let checked = jail.check(&nothing, Some(0));
        assert!(
            matches!(checked, Err(OwnJailError::Field { .. })),
            "{checked:?}"
        );
    }

    #[test]
    fn what_the_kernel_says_is_one_line_of_walls() {
        let line = jail().kernel();
        assert!(
            line.contains("NoNewPrivs: ") && line.contains(", Seccomp: "),
            "{line}"
        );
        assert!(!line.contains('\n') && !line.contains("Name"), "{line}");
    }

    #[test]
    fn a_value_that_is_not_there_is_taken_for_every_capability() {
        assert_eq!(walls_of("Name:\tx").bits("CapEff"), u64::MAX);
        assert_eq!(walls_of("CapEff:\t00c0").bits("CapEff"), 0xc0);
    }
}
