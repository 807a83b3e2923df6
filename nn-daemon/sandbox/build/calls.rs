//! `ARCH/NAME.json`: checked, and compiled to BPF.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use serde::Deserialize;

/// The most rules that a worker's profile may have.
pub(crate) const WORKER_RULES_MAX: usize = 64;

/// And that of a process of our own, which does more, and narrows calls by several rules each.
pub(crate) const OWN_RULES_MAX: usize = 128;

/// What the filter of a call that is answered and not made is called: the profile's name and this.
const ANSWERED: &str = "-answered";

/// The filter as written; `seccompiler` refuses what is not of this form.
#[derive(Debug, Deserialize)]
struct Filter {
    mismatch_action: String,
    match_action: serde_json::Value,
    filter: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    syscall: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    args: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    index: u8,
    op: serde_json::Value,
    val: u64,
    #[serde(default)]
    comment: String,
}

/// Whatever is said about it.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        (self.index, &self.op, self.val) == (other.index, &other.op, other.val)
    }
}

/// What may be called, and the program that sees to it.
#[derive(Debug)]
pub(crate) struct Calls {
    rules: Vec<Rule>,
    program: BpfProgram,
    answered: Option<Answered>,
}

/// Calls that get an error number in place of death: a filter of its own.
#[derive(Debug)]
struct Answered {
    rules: Vec<Rule>,
    program: BpfProgram,
}

/// Reads, checks, compiles.
pub(crate) fn read(
    path: &Path,
    name: &str,
    architecture: &str,
    rules_max: usize,
) -> Result<Calls, Box<dyn Error>> {
    let told = |what: String| format!("{}: {what}", path.display());
    let text = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    let mut filters: BTreeMap<String, Filter> =
        serde_json::from_str(&text).map_err(|error| told(error.to_string()))?;
    let filter = filters.remove(name);
    let filter = filter.ok_or_else(|| told(format!("it has no filter {name:?}")))?;
    check(&filter, rules_max).map_err(told)?;
    let second = format!("{name}{ANSWERED}");
    let answered = filters.remove(&second);
    if let Some(answered) = &answered {
        check_answered(answered, &filter).map_err(told)?;
    }
    if let Some(other) = filters.keys().next() {
        return Err(told(format!("{other:?} is no filter of this profile")).into());
    }
    let target = TargetArch::try_from(architecture)?;
    let mut programs =
        compile_from_json(text.as_bytes(), target).map_err(|error| told(error.to_string()))?;
    let program = programs.remove(name).ok_or("nothing was compiled")?;
    let answered = answered.map(|answered| {
        let program = programs.remove(&second).ok_or("nothing was compiled")?;
        Ok::<_, &str>(Answered {
            rules: answered.filter,
            program,
        })
    });
    Ok(Calls {
        rules: filter.filter,
        program,
        answered: answered.transpose()?,
    })
}

/// The kernel takes the stricter verdict of two filters, so what is answered must be allowed by the other.
fn check_answered(answered: &Filter, filter: &Filter) -> Result<(), String> {
    let errno = answered.match_action.get("errno");
    let is = answered.mismatch_action == "allow" && errno.is_some_and(serde_json::Value::is_u64);
    if !is {
        return Err("expected mismatch_action allow and match_action errno".to_owned());
    }
    for rule in &answered.filter {
        let same = |other: &&Rule| other.syscall == rule.syscall && other.args.is_empty();
        if !rule.args.is_empty() || filter.filter.iter().find(same).is_none() {
            return Err(format!("{} is answered, and not allowed", rule.syscall));
        }
    }
    Ok(())
}

fn check(filter: &Filter, rules_max: usize) -> Result<(), String> {
    if filter.mismatch_action != "kill_process" || filter.match_action != "allow" {
        return Err("expected mismatch_action kill_process and match_action allow".to_owned());
    }
    if filter.filter.len() > rules_max {
        return Err(format!(
            "{} rules, expected at most {rules_max}",
            filter.filter.len()
        ));
    }
    let mut seen: Vec<&Rule> = Vec::new();
    for rule in &filter.filter {
        let call = &rule.syscall;
        // A rule that another one covers would look like a wall and be none.
        let covers = |other: &&Rule| {
            other.syscall == *call
                && (other.args.is_empty() || rule.args.is_empty() || other.args == rule.args)
        };
        if seen.iter().any(covers) {
            return Err(format!("{call} has a rule that another rule covers"));
        }
        seen.push(rule);
        let silent = rule.comment.trim().is_empty()
            || rule
                .args
                .iter()
                .any(|condition| condition.comment.trim().is_empty());
        if silent {
            return Err(format!(
                "{call}, or a condition of it, does not say why (`comment`)"
            ));
        }
    }
    Ok(())
}

// === impl Calls ===

impl Calls {
    /// A call that is answered in place of death, other than this one.
    pub(crate) fn answered_besides(&self, known: &str) -> Option<&str> {
        let mut rules = self.answered.iter().flat_map(|answered| &answered.rules);
        let other = rules.find(|rule| rule.syscall != known);
        other.map(|rule| rule.syscall.as_str())
    }

    /// Fields of `Profile` and of `OwnProfile`.
    pub(crate) fn code(&self) -> String {
        format!(
            "calls: &[{}], filter: &[{}],",
            calls(&self.rules),
            words(&self.program)
        )
    }

    /// More fields of both.
    pub(crate) fn answered_code(&self) -> String {
        let answered = self.answered.as_ref();
        format!(
            "answered: &[{}], answered_filter: &[{}],",
            answered.map_or_else(String::new, |answered| calls(&answered.rules)),
            answered.map_or_else(String::new, |answered| words(&answered.program)),
        )
    }
}

fn calls(rules: &[Rule]) -> String {
    let mut code = String::new();
    for rule in rules {
        let conditions: Vec<&str> = rule.args.iter().map(|c| c.comment.as_str()).collect();
        let _ = write!(
            code,
            "Call {{ name: {:?}, why: {:?}, conditions: &{conditions:?} }},",
            rule.syscall, rule.comment
        );
    }
    code
}

fn words(program: &BpfProgram) -> String {
    let mut code = String::new();
    for line in program {
        let word = u64::from(line.code) << 48
            | u64::from(line.jt) << 40
            | u64::from(line.jf) << 32
            | u64::from(line.k);
        let _ = write!(code, "{word},");
    }
    code
}
