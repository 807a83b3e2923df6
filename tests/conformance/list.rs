//! What is known to miss: a list for each framework, a line for each case, checked in beside this file.

use std::collections::{BTreeMap, BTreeSet};
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

/// What a line says: why its case misses, and on which processors, if that is so on some only.
type Line = (Reason, Option<Only>);

/// Those with an extension, by the kernel's name for it, or those without.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Only {
    with: bool,
    extension: String,
}

/// How the two are written behind a reason.
const WITH: &str = ", with ";
const WITHOUT: &str = ", without ";

/// Where a framework's list is.
pub(crate) fn path(backend: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conformance");
    folder.join(format!("{backend}.toml"))
}

/// A framework's list, as it is for this processor.
pub(crate) fn read(backend: &str) -> List {
    let here = features();
    let lines = lines(backend).into_iter();
    let holds = lines.filter(|(_, (_, only))| only.as_ref().is_none_or(|only| only.is(&here)));
    holds.map(|(name, (reason, _))| (name, reason)).collect()
}

fn lines(backend: &str) -> BTreeMap<String, Line> {
    let path = path(backend);
    let text = std::fs::read_to_string(&path).expect("a list for each framework");
    parse(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// What this processor has besides what all have, by the kernel's names.
fn features() -> BTreeSet<String> {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = told
        .lines()
        .find_map(|line| line.strip_prefix("flags")?.split_once(':'));
    let flags = flags.map_or("", |(_, flags)| flags);
    flags.split_whitespace().map(str::to_owned).collect()
}

impl Only {
    /// Whether a processor is one of them.
    fn is(&self, here: &BTreeSet<String>) -> bool {
        here.contains(&self.extension) == self.with
    }
}

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.with { WITH } else { WITHOUT };
        write!(f, "{how}{}", self.extension)
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, Line>, String> {
    let lines: BTreeMap<String, String> =
        toml::from_str(text).map_err(|error| error.to_string())?;
    let line = |(name, said): (String, String)| {
        let only = |with, (word, extension): (&'_ str, &str)| {
            let extension = extension.to_owned();
            (word.to_owned(), Some(Only { with, extension }))
        };
        let with = said.split_once(WITH).map(|split| only(true, split));
        let without = said.split_once(WITHOUT).map(|split| only(false, split));
        let (word, only) = with.or(without).unwrap_or_else(|| (said.clone(), None));
        let reason = Reason::ALL.into_iter().find(|reason| reason.name() == word);
        match reason {
            Some(reason) => Ok((name, (reason, only))),
            None => Err(format!("{name}: there is no reason {said:?}")),
        }
    };
    lines.into_iter().map(line).collect()
}

/// Puts what was seen into the place of a framework's list. What stands above its first line stays, and so does what is
/// said of processors: of this one only its own part was seen.
pub(crate) fn write(backend: &str, seen: &List) {
    let path = path(backend);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let head = before.lines().take_while(|line| line.starts_with('#'));
    let mut text: String = head.map(|line| format!("{line}\n")).collect();
    for (name, (reason, only)) in merged(parse(&before).unwrap_or_default(), seen, &features()) {
        let only = only.map_or_else(String::new, |only| only.to_string());
        text.push_str(&format!("{name:?} = \"{reason}{only}\"\n"));
    }
    std::fs::write(&path, text).expect("the list can be written");
}

fn merged(
    before: BTreeMap<String, Line>,
    seen: &List,
    here: &BTreeSet<String>,
) -> BTreeMap<String, Line> {
    let mut after: BTreeMap<String, Line> = BTreeMap::new();
    for (name, reason) in seen {
        after.insert(name.clone(), (*reason, None));
    }
    for (name, (reason, only)) in before {
        let Some(of) = &only else { continue };
        let as_said = match seen.get(&name) {
            Some(seen) => of.is(here) && *seen == reason,
            None => !of.is(here),
        };
        if as_said {
            after.insert(name, (reason, only));
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_nobody_knows_is_told_with_its_case() {
        assert_eq!(
            parse("\"node/a\" = \"shape\"").unwrap()["node/a"],
            (Reason::Shape, None)
        );
        assert!(
            parse("\"node/a\" = \"mood\"")
                .unwrap_err()
                .contains("node/a")
        );
    }

    #[test]
    fn what_is_so_on_some_processors_is_kept_by_those_that_do_not_see_it() {
        let text =
            "\"a\" = \"numbers, without avx9\"\n\"b\" = \"shape\"\n\"c\" = \"type, with avx9\"";
        let before = || parse(text).unwrap();
        let (with, without) = (BTreeSet::from(["avx9".to_owned()]), BTreeSet::new());
        let seen = |name: &str, reason| List::from([(name.to_owned(), reason)]);
        let after = |name: &str, seen: &List, here| merged(before(), seen, here).remove(name);
        let of = |name: &str| before().remove(name);
        let (a, c) = (seen("a", Reason::Numbers), seen("c", Reason::Type));
        // As it is said, and where it is not said of this processor.
        assert_eq!(after("a", &a, &without), of("a"));
        assert_eq!(after("a", &List::new(), &with), of("a"));
        assert_eq!(after("c", &c, &with), of("c"));
        assert_eq!(after("c", &List::new(), &without), of("c"));
        // Otherwise.
        assert_eq!(after("a", &a, &with), Some((Reason::Numbers, None)));
        assert_eq!(after("c", &List::new(), &with), None);
        assert_eq!(after("b", &List::new(), &with), None);
    }
}
