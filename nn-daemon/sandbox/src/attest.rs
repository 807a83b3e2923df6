//! Whether what the kernel says of a process shows the layers that it should have. Pure. A process's own word counts for
//! nothing here.
//!
//! Landlock leaves no trace in /proc, nor do limits and what a root holds.

use crate::Layer;

/// The sets of capabilities that must be empty in every case.
const CAPABILITIES: [&str; 4] = ["CapInh", "CapPrm", "CapEff", "CapAmb"];

/// `CAP_SETPCAP`, by which a process bounds what it can ever have.
const SETPCAP: u64 = 1 << 8;

/// No capability, as the kernel writes it.
const NONE: &str = "0000000000000000";

/// Why a process is not jailed as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Unjailed {
    /// A wall of one thread.
    #[error("thread {thread} is not jailed; expected {field} {expected}, got {got}")]
    Field {
        /// Which thread.
        thread: u32,
        /// Of its `status`.
        field: &'static str,
        /// What it should say.
        expected: String,
        /// What it says.
        got: String,
    },
    /// There is none to be seen.
    #[error("it is not jailed; the kernel lists no thread of it")]
    NoThread,
    /// A namespace is its parent's.
    #[error("it is not jailed; expected a {0} of its own, got its parent's")]
    Namespace(Layer),
}

/// What each thread's status must say.
struct Expected {
    fields: Vec<(&'static str, &'static str)>,
    /// More filters than the parent has, which every child has from birth.
    filters_above: Option<u64>,
}

/// Judges a process by the `status` of each of its threads and that of its parent; `has_own` says of a file below
/// `/proc/PID/ns` whether it is another than the parent's.
///
/// # Errors
/// With the first layer that does not show, in the first thread.
pub fn judge(
    layers: &[Layer],
    threads: &[(u32, String)],
    parent: &str,
    has_own: impl Fn(&str) -> bool,
) -> Result<(), Unjailed> {
    let expected = Expected::new(layers, parent);
    if threads.is_empty() {
        return Err(Unjailed::NoThread);
    }
    for (thread, status) in threads {
        expected.judge(*thread, status)?;
    }
    let namespaces = layers
        .iter()
        .filter_map(|&layer| Some((layer, layer.namespace_file()?)));
    for (layer, file) in namespaces {
        if !has_own(file) {
            return Err(Unjailed::Namespace(layer));
        }
    }
    Ok(())
}

// === impl Expected ===

impl Expected {
    fn new(layers: &[Layer], parent: &str) -> Self {
        let mut fields: Vec<(&'static str, &'static str)> = Vec::new();
        if layers.contains(&Layer::NoNewPrivs) {
            fields.push(("NoNewPrivs", "1"));
        }
        let mut filters_above = None;
        if layers.contains(&Layer::Seccomp) {
            // A filter, as against none and the strict mode.
            fields.push(("Seccomp", "2"));
            filters_above = filters(parent);
        }
        fields.extend(CAPABILITIES.map(|set| (set, NONE)));
        // Only who has that capability may bound them.
        let bits = value(parent, "CapEff").and_then(|bits| u64::from_str_radix(bits, 16).ok());
        let bounded = bits.is_some_and(|bits| bits & SETPCAP != 0);
        if layers.contains(&Layer::UserNs) || bounded {
            fields.push(("CapBnd", NONE));
        }
        Self {
            fields,
            filters_above,
        }
    }

    fn judge(&self, thread: u32, status: &str) -> Result<(), Unjailed> {
        let wrong = |field, expected: &str, got: &str| Unjailed::Field {
            thread,
            field,
            expected: expected.to_owned(),
            got: got.to_owned(),
        };
        for &(field, expected) in &self.fields {
            let got = value(status, field).unwrap_or("nothing");
            if got != expected {
                return Err(wrong(field, expected, got));
            }
        }
        // A kernel that counts filters does so for every process.
        if let Some(least) = self.filters_above {
            let got = filters(status).unwrap_or_default();
            if got <= least {
                let expected = format!("more than {least}");
                return Err(wrong("Seccomp_filters", &expected, &got.to_string()));
            }
        }
        Ok(())
    }
}

fn value<'a>(status: &'a str, field: &str) -> Option<&'a str> {
    let of = |line: &'a str| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim());
    status.lines().find_map(of)
}

fn filters(status: &str) -> Option<u64> {
    value(status, "Seccomp_filters")?.parse().ok()
}
