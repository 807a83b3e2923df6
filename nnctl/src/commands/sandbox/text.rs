//! The explanation for people: what is missing first, then the layers, the way up, and the lists.

use super::steps::max_words;
use super::{Explanation, Kind, LimitView, Root, State, SystemCalls};
use crate::output::{Paint, Report, Table, facts};

/// What every list that is not in force begins with.
const NOT_IN_FORCE: &str = "NOT IN FORCE";

/// Of layers, whoever's they are.
pub(super) const LAYER_HEADINGS: [&str; 4] = [
    "LAYER",
    "NEED",
    "STATE",
    "WHAT IT DOES, OR WHY IT IS MISSING",
];

impl Report for Explanation {
    fn text(&self, paint: Paint) -> String {
        let sections = [
            self.alarm(paint),
            Some(self.head(paint)),
            Some(self.layers().render(paint)),
            Some(self.way(paint)),
            Some(root(&self.root, paint)),
            Some(limits(&self.limits).render(paint)),
            Some(calls(&self.system_calls, paint)),
        ];
        let sections: Vec<String> = sections.into_iter().flatten().collect();
        sections.join("\n")
    }
}

impl Explanation {
    /// The line that nobody may miss, where there is reason for one.
    fn alarm(&self, paint: Paint) -> Option<String> {
        let missing: Vec<&str> = self.unmet.iter().map(String::as_str).collect();
        if missing.is_empty() {
            return None;
        }
        Some(match self.source.kind {
            Kind::Daemon => {
                super::super::status::degraded("workers", self.profile, &missing, paint)
            }
            Kind::Machine => format!(
                "{}: {}, which profile {} requires; nn-daemon starts here with --allow-degraded only\n",
                paint.word("MISSING"),
                missing.join(", "),
                self.profile
            ),
        })
    }

    fn head(&self, paint: Paint) -> String {
        let threads = format!("at most {}. {}", self.threads.max, self.threads.why);
        let about = [
            ("profile", self.profile),
            ("layers", &self.source.text),
            ("threads", &threads),
        ];
        facts(&about, paint)
    }

    fn layers(&self) -> Table {
        let mut table = Table::new(&LAYER_HEADINGS);
        for view in &self.layers {
            let state = match view.state {
                State::Active => "active",
                State::Available => "available",
                State::Untried => "untried",
                State::Missing => "MISSING",
            };
            table.row([
                view.layer.clone(),
                view.need.clone(),
                state.to_owned(),
                view.detail.clone(),
            ]);
        }
        table
    }

    fn way(&self, paint: Paint) -> String {
        let mut table = Table::new(&["STAGE", "HOW A WORKER COMES UP, IN THIS ORDER"]);
        for step in &self.steps {
            table.row([step.stage.name().to_owned(), step.what.clone()]);
        }
        format!(
            "{}why the seal so late: {}\nwhy Landlock too: {}\n",
            table.render(paint),
            self.seal_why,
            self.landlock_why
        )
    }
}

fn root(root: &Root, paint: Paint) -> String {
    let mut table = Table::new(&["IN ITS ROOT", "KIND", "WHY"]);
    for entry in &root.entries {
        table.row([entry.name, entry.kind, entry.why].map(str::to_owned));
    }
    if root.in_force {
        return table.render(paint);
    }
    let lost = "mntns is missing, and a worker sees the root of the daemon";
    format!("{NOT_IN_FORCE}: {lost}\n{}", table.render(paint))
}

fn limits(limits: &[LimitView]) -> Table {
    let mut table = Table::new(&["RLIMIT", "MAX", "WHY"]);
    for view in limits {
        table.row([
            view.limit.to_owned(),
            max_words(view.bound, view.unit == "bytes"),
            view.why.to_owned(),
        ]);
    }
    table
}

fn calls(calls: &SystemCalls, paint: Paint) -> String {
    let mut table = Table::new(&["SYSTEM CALL", "ONLY IF", "WHY"]);
    for call in &calls.allowed {
        table.row([
            call.name.to_owned(),
            call.conditions.join(", and "),
            call.why.to_owned(),
        ]);
    }
    let table = table.render(paint);
    if calls.in_force {
        let instructions = calls.bpf_instructions;
        return format!(
            "{table}any other call ends the worker ({instructions} BPF instructions)\n"
        );
    }
    let lost = "seccomp is missing, and a worker may make any system call";
    format!("{NOT_IN_FORCE}: {lost}\n{table}")
}
