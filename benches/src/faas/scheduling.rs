//! What the kernel's scheduler knows of the processes that are measured: nobody is to have been given more than the other.

use std::fs;

use crate::faas::table::{head, row};

/// As `sched_setscheduler` numbers them.
const POLICIES: [(&str, &str); 5] = [
    ("0", "normal"),
    ("1", "FIFO"),
    ("2", "RR"),
    ("3", "batch"),
    ("5", "idle"),
];

/// A process as the kernel sees it.
#[derive(Debug)]
pub(crate) struct Seen([String; 6]);

/// A line for each process.
pub(crate) fn table(text: &mut String, processes: &[Seen]) {
    head(
        text,
        &[
            "process",
            "threads",
            "policy",
            "nice",
            "processors",
            "control group",
        ],
    );
    for Seen(cells) in processes {
        row(text, cells);
    }
    text.push('\n');
}

/// How it is now.
pub(crate) fn seen(name: &str, pid: u32) -> Seen {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let [threads, policy, nice] = fields(&stat).map(str::to_owned);
    let group = if group(pid) == group(std::process::id()) {
        "the bench's"
    } else {
        "another"
    };
    let (name, group) = (name.to_owned(), group.to_owned());
    Seen([name, threads, policy, nice, processors(pid), group])
}

/// Threads, policy and niceness out of /proc/PID/stat; what comes after the name, which may hold anything, is numbered from 3.
fn fields(stat: &str) -> [&str; 3] {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or("?");
    let policy = field(41);
    let known = POLICIES.iter().find(|(number, _)| *number == policy);
    [field(20), known.map_or(policy, |(_, name)| name), field(19)]
}

fn processors(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.map_or("?", str::trim).to_owned()
}

fn group(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_moves_no_field() {
        let numbers: Vec<String> = (3..=52).map(|number| number.to_string()).collect();
        let stat = format!("7 (a) b (c) {}", numbers.join(" "));
        assert_eq!(fields(&stat), ["20", "41", "19"]);
        assert_eq!(fields(""), ["?", "?", "?"]);
    }
}
