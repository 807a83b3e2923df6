//! What is known to miss: a list for each framework, a line for each case, checked in beside this file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Why a case does not pass. docs/conformance.md explains them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The framework has no such operator, or none for these element types.
    Operator,
    /// The framework's release is older than the model's operator set.
    OperatorSet,
    /// The framework leaves out an input that nothing reads, or gives it another name.
    Signature,
    /// The framework refuses the model for another reason.
    Load,
    /// The framework takes the model and fails while it computes.
    Compute,
    /// The framework computes other numbers.
    Numbers,
    /// The framework's output has another shape.
    Shape,
    /// The framework's output, or input, has another element type.
    Type,
    /// The framework ends its process.
    Crash,
    /// Ours: the daemon refuses the model before a worker sees it.
    Vetting,
    /// Ours: an integer beyond 32 bits, which the framework would cut.
    Range,
    /// Ours: an input whose rank is left open.
    Rank,
}

// === impl Reason ===

impl Reason {
    pub(crate) const ALL: [Self; 12] = [
        Self::Operator,
        Self::OperatorSet,
        Self::Signature,
        Self::Load,
        Self::Compute,
        Self::Numbers,
        Self::Shape,
        Self::Type,
        Self::Crash,
        Self::Vetting,
        Self::Range,
        Self::Rank,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::OperatorSet => "operator-set",
            Self::Signature => "signature",
            Self::Load => "load",
            Self::Compute => "compute",
            Self::Numbers => "numbers",
            Self::Shape => "shape",
            Self::Type => "type",
            Self::Crash => "crash",
            Self::Vetting => "vetting",
            Self::Range => "range",
            Self::Rank => "rank",
        }
    }

    /// Whether it is the product that says no, and the framework might not.
    pub(crate) const fn is_ours(self) -> bool {
        matches!(self, Self::Vetting | Self::Range | Self::Rank)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A list: names of cases, and why they miss.
pub(crate) type List = BTreeMap<String, Reason>;

/// Where a framework's list is.
pub(crate) fn path(backend: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conformance");
    folder.join(format!("{backend}.toml"))
}

/// A framework's list.
pub(crate) fn read(backend: &str) -> List {
    let path = path(backend);
    let text = std::fs::read_to_string(&path).expect("a list for each framework");
    parse(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn parse(text: &str) -> Result<List, String> {
    let lines: BTreeMap<String, String> =
        toml::from_str(text).map_err(|error| error.to_string())?;
    let known = |(name, said): (String, String)| match Reason::ALL
        .into_iter()
        .find(|reason| reason.name() == said)
    {
        Some(reason) => Ok((name, reason)),
        None => Err(format!("{name}: there is no reason {said:?}")),
    };
    lines.into_iter().map(known).collect()
}

/// Puts what was seen into the place of a framework's list. What stands above its first line stays.
pub(crate) fn write(backend: &str, seen: &List) {
    let path = path(backend);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let head = before.lines().take_while(|line| line.starts_with('#'));
    let mut text: String = head.map(|line| format!("{line}\n")).collect();
    for (name, reason) in seen {
        text.push_str(&format!("{name:?} = \"{reason}\"\n"));
    }
    std::fs::write(&path, text).expect("the list can be written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_nobody_knows_is_told_with_its_case() {
        assert_eq!(
            parse("\"node/a\" = \"shape\"").unwrap()["node/a"],
            Reason::Shape
        );
        assert!(
            parse("\"node/a\" = \"mood\"")
                .unwrap_err()
                .contains("node/a")
        );
    }
}
