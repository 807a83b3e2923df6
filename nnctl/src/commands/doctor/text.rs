//! The diagnosis for people: how bad it is, everything that was looked at, and what to do.

use super::Diagnosis;
use super::finding::{Finding, Level};
use crate::output::{Paint, Report, Table, count, printable};

impl Report for Diagnosis {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new(&["CHECK", "RESULT", "FOUND"]);
        for finding in &self.checks {
            let level = match finding.level {
                Level::Ok => "ok",
                Level::Unknown => "unknown",
                Level::Warning => "WARNING",
                Level::Problem => "PROBLEM",
            };
            table.row([finding.id.clone(), level.to_owned(), finding.found.clone()]);
        }
        let sections = [Some(self.head()), Some(table.render(paint)), self.advice()];
        let sections: Vec<String> = sections.into_iter().flatten().collect();
        sections.join("\n")
    }
}

impl Diagnosis {
    fn head(&self) -> String {
        let counted = |number: usize, what: &str| match number {
            0 => format!("no {what}s"),
            _ => count(u64::try_from(number).unwrap_or(u64::MAX), what),
        };
        let problems = counted(self.problems, "problem");
        format!("{problems}, {}\n", counted(self.warnings, "warning"))
    }

    /// Problems first; in each, what stands first is most likely the cause of what follows.
    fn advice(&self) -> Option<String> {
        let of = |level: Level| self.checks.iter().filter(move |found| found.level == level);
        let lines: Vec<String> = of(Level::Problem)
            .chain(of(Level::Warning))
            .map(line)
            .collect();
        (!lines.is_empty()).then(|| format!("WHAT TO DO\n{}", lines.concat()))
    }
}

fn line(finding: &Finding) -> String {
    format!(
        "{}\n",
        printable(&format!("{}: {}", finding.id, finding.advice))
    )
}
