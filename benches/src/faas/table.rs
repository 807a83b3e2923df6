//! Cells, and what was aimed at.

use crate::report::{line, number};

/// Something that was aimed at, and what came of it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) aim: String,
    pub(crate) got: String,
    /// `None` where the requests were not sent in time, so that nothing can be said.
    pub(crate) is_met: Option<bool>,
}

/// All of them, before everything else.
pub(crate) fn targets(text: &mut String, targets: &[&Target]) {
    line(text, "### What was aimed at\n");
    line(text, "| | aim | measured | |");
    line(text, "|---|---|---|---|");
    for target in targets {
        let verdict = match target.is_met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "does not count: the requests were sent too late",
        };
        let Target { what, aim, got, .. } = target;
        line(text, &format!("| {what} | {aim} | {got} | {verdict} |"));
    }
    text.push('\n');
}

/// A row of cells.
pub(crate) fn row(text: &mut String, cells: &[String]) {
    line(text, &format!("| {} |", cells.join(" | ")));
}

/// A table's head: its first column holds words, the others numbers.
pub(crate) fn head(text: &mut String, names: &[&str]) {
    line(text, &format!("| {} |", names.join(" | ")));
    let rule = names.iter().skip(1).map(|_| "--:|");
    line(text, &format!("|---|{}", rule.collect::<String>()));
}

/// Milliseconds, or a rate.
pub(crate) fn cell(value: f64) -> String {
    number(value)
}

/// How late requests were sent, and whether they count.
pub(crate) fn lag(load: &super::load::Load) -> String {
    let mark = if load.is_punctual() { "" } else { " (late)" };
    format!("{}{mark}", number(load.lag_ms()))
}
