//! What a run is worth: how each case ended, held against the list, and the totals.

use std::collections::{BTreeMap, BTreeSet};

use nn_tests::Daemon;

use crate::case::Case;
use crate::list::{List, Reason};
use crate::numbers::Wrong;
use crate::suite::{Core, Miss, Seen, Stage};

/// How a framework says that it has no such operator, or no kernel of it for these types.
const NO_OPERATOR: [&str; 4] = [
    "Could not find an implementation for",
    "is not a registered function/op",
    "the model needs an operation that the framework does not have",
    "does not support the following ONNX operations",
];

/// How ONNX Runtime says that a model's operator set is newer than it is.
const NEW_OPERATOR_SET: &str = "ValidateOpsetForDomain";

/// What the daemon says of a model that it does not let a worker see.
const RULE: &str = "(rule ";
/// What it says where the framework and the file do not agree.
const OTHERWISE: &str = "than the model's file says";
/// What a worker says of a model with an input that has no rank.
const NO_RANK: &str = "of the model cannot be offered";
/// What a worker says of an input that OpenVINO would cut.
const NO_RANGE: &str = "32 bits";

/// What was seen, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    pub(crate) misses: BTreeMap<String, (Miss, Option<Miss>)>,
    pub(crate) alike: usize,
    pub(crate) untold: usize,
    /// Cases that ended otherwise for a core module.
    pub(crate) apart: Vec<String>,
}

/// Why a case missed, as far as the path alone tells: of those that failed to load, only whether it was us.
fn is_ours(miss: &Miss) -> Option<Reason> {
    let says = |words: &str| miss.text.contains(words);
    match miss.stage {
        Stage::Load if says(RULE) => Some(Reason::Vetting),
        Stage::Load if says(NO_RANK) => Some(Reason::Rank),
        Stage::Compute if says(NO_RANGE) => Some(Reason::Range),
        Stage::Load | Stage::Compute | Stage::Wrong(_) | Stage::Crash => None,
    }
}

/// The same with what the framework alone says.
fn reason(miss: &Miss, alone: Option<&Miss>) -> Reason {
    if let Some(ours) = is_ours(miss) {
        return ours;
    }
    let says = |words: &str| alone.is_some_and(|alone| alone.text.contains(words));
    match miss.stage {
        Stage::Load if miss.text.contains(OTHERWISE) => Reason::Signature,
        Stage::Load if says(NEW_OPERATOR_SET) => Reason::OperatorSet,
        Stage::Load if NO_OPERATOR.iter().any(|words| says(words)) => Reason::Operator,
        Stage::Load => Reason::Load,
        Stage::Compute => Reason::Compute,
        Stage::Wrong(Wrong::Numbers) => Reason::Numbers,
        Stage::Wrong(Wrong::Shape) => Reason::Shape,
        Stage::Wrong(Wrong::Type | Wrong::Missing) => Reason::Type,
        Stage::Crash => Reason::Crash,
    }
}

/// Whether a listed reason can be how this one missed, where the framework alone was not asked.
fn may_be(listed: Reason, miss: &Miss) -> bool {
    let seen = reason(miss, None);
    listed == seen
        || (seen == Reason::Load && matches!(listed, Reason::Operator | Reason::OperatorSet))
}

// === impl Report ===

impl Report {
    /// Sorts what was seen; `crashed` are the models whose workers the daemon saw crash.
    pub(crate) fn new(cases: &[&Case], seen: Vec<Seen>, crashed: &BTreeSet<String>) -> Self {
        let mut report = Self::default();
        for (case, seen) in cases.iter().zip(seen) {
            match seen.core {
                Core::Alike => report.alike += 1,
                Core::Untold => report.untold += 1,
                Core::Apart(how) => report.apart.push(format!("{}: {how}", case.name)),
            }
            let Some(mut miss) = seen.miss else {
                report.passed += 1;
                continue;
            };
            if crashed.contains(&case.model_name()) {
                miss.stage = Stage::Crash;
            }
            report.misses.insert(case.name.clone(), (miss, None));
        }
        report
    }

    /// Asks the framework alone about each miss; those that it passes, though it is not us who refuse them.
    pub(crate) fn ask_alone(&mut self, ask: impl Fn(&str) -> Option<Miss>) -> Vec<String> {
        let mut passes = Vec::new();
        for (name, (miss, alone)) in &mut self.misses {
            *alone = ask(name);
            if alone.is_none() && !reason(miss, None).is_ours() {
                passes.push(format!("{name}: {miss}"));
            }
        }
        passes
    }

    /// The list that would be right.
    pub(crate) fn list(&self) -> List {
        let lines = self.misses.iter();
        lines
            .map(|(name, (miss, alone))| (name.clone(), reason(miss, alone.as_ref())))
            .collect()
    }

    /// Where the list says otherwise, of these cases: misses that it has not, or for another reason, and cases in it that pass.
    pub(crate) fn against(&self, list: &List, cases: &[&Case]) -> Vec<String> {
        let mut findings = Vec::new();
        for case in cases {
            let name = &case.name;
            match (self.misses.get(name), list.get(name)) {
                (None, None) => {}
                (None, Some(listed)) => {
                    findings.push(format!("{name} passes, and is listed: {listed}"))
                }
                (Some((miss, alone)), None) => {
                    findings.push(format!(
                        "{name} misses, and is not listed: {miss}{}",
                        told(alone.as_ref())
                    ));
                }
                (Some((miss, Some(alone))), Some(listed))
                    if reason(miss, Some(alone)) != *listed =>
                {
                    findings.push(format!(
                        "{name} misses otherwise than listed ({listed}): {miss}{}",
                        told(Some(alone))
                    ));
                }
                (Some((miss, None)), Some(listed)) if !may_be(*listed, miss) => {
                    findings.push(format!(
                        "{name} misses otherwise than listed ({listed}): {miss}"
                    ));
                }
                (Some(_), Some(_)) => {}
            }
        }
        findings
    }

    /// How many missed for each reason.
    pub(crate) fn by_reason(&self) -> String {
        let mut counts: BTreeMap<Reason, usize> = BTreeMap::new();
        for reason in self.list().into_values() {
            *counts.entry(reason).or_default() += 1;
        }
        let words: Vec<String> = counts
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        words.join(", ")
    }
}

fn told(alone: Option<&Miss>) -> String {
    alone.map_or_else(String::new, |alone| format!(" (alone: {alone})"))
}

/// The models whose workers crashed, by what the daemon has to say.
pub(crate) fn crashed(daemon: &Daemon) -> BTreeSet<String> {
    let printed = nn_tests::nnctl(daemon, &["--json", "events", "--kind", "crashed"])
        .ok()
        .stdout;
    let events = printed
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let names =
        events.filter_map(|event| Some(event["model"].as_str()?.split('@').next()?.to_owned()));
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str) -> Case {
        Case {
            name: name.to_owned(),
            model: Vec::new(),
            outputs: Vec::new(),
            sets: Vec::new(),
        }
    }

    fn seen(stage: Option<Stage>, text: &str) -> Seen {
        let text = text.to_owned();
        Seen {
            miss: stage.map(|stage| Miss { stage, text }),
            core: Core::Alike,
        }
    }

    #[test]
    fn what_ends_otherwise_than_listed_is_found_and_nothing_else() {
        let cases = ["passes", "missed", "mended", "other", "listed"].map(case);
        let cases: Vec<&Case> = cases.iter().collect();
        let wrong = Some(Stage::Wrong(Wrong::Numbers));
        let ended = vec![
            seen(None, ""),
            seen(wrong, ""),
            seen(None, ""),
            seen(wrong, ""),
            seen(Some(Stage::Load), "no such operator"),
        ];
        let report = Report::new(&cases, ended, &BTreeSet::new());
        let list = [
            ("mended", Reason::Numbers),
            ("other", Reason::Shape),
            ("listed", Reason::Operator),
        ];
        let list = list.map(|(name, reason)| (name.to_owned(), reason));
        let findings = report.against(&List::from(list), &cases);
        let begins: Vec<&str> = findings
            .iter()
            .filter_map(|finding| finding.split(' ').next())
            .collect();
        assert_eq!(begins, ["missed", "mended", "other"], "{findings:#?}");
        assert_eq!((report.passed, report.alike), (2, 5));
    }

    #[test]
    fn a_refusal_of_ours_is_told_from_the_frameworks_and_a_crash_counts_before_its_text() {
        let names = ["vetted", "crashed", "framework"].map(case);
        let cases: Vec<&Case> = names.iter().collect();
        let ended = vec![
            seen(Some(Stage::Load), "too deep (rule depth)"),
            seen(Some(Stage::Load), "(rule depth)"),
            seen(Some(Stage::Load), "the framework could not load the model"),
        ];
        let crashed = BTreeSet::from(["crashed".to_owned()]);
        let mut report = Report::new(&cases, ended, &crashed);
        let passes = report.ask_alone(|_| None);
        assert_eq!(passes.len(), 2, "{passes:?}");
        let reasons: Vec<Reason> = report.list().into_values().collect();
        assert_eq!(reasons, [Reason::Crash, Reason::Load, Reason::Vetting]);
    }
}
