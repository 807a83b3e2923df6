//! `ARCH/NAME.json`: checked, and compiled to BPF.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use serde::Deserialize;

/// The most system calls a profile may allow.
const CALLS_MAX: usize = 64;

/// The filter as written; `seccompiler` refuses what is not of this form.
#[derive(Debug, Deserialize)]
struct Filter {
    mismatch_action: String,
    match_action: String,
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
}

/// Reads, checks, compiles.
pub(crate) fn read(path: &Path, name: &str, architecture: &str) -> Result<Calls, Box<dyn Error>> {
    let told = |what: String| format!("{}: {what}", path.display());
    let text = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    let mut filters: BTreeMap<String, Filter> =
        serde_json::from_str(&text).map_err(|error| told(error.to_string()))?;
    let filter = filters.remove(name);
    let filter = filter.ok_or_else(|| told(format!("it has no filter {name:?}")))?;
    check(&filter).map_err(told)?;
    let target = TargetArch::try_from(architecture)?;
    let mut programs =
        compile_from_json(text.as_bytes(), target).map_err(|error| told(error.to_string()))?;
    let program = programs.remove(name).ok_or("nothing was compiled")?;
    Ok(Calls {
        rules: filter.filter,
        program,
    })
}

fn check(filter: &Filter) -> Result<(), String> {
    if filter.mismatch_action != "kill_process" || filter.match_action != "allow" {
        return Err("expected mismatch_action kill_process and match_action allow".to_owned());
    }
    if filter.filter.len() > CALLS_MAX {
        return Err(format!(
            "{} calls, expected at most {CALLS_MAX}",
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
    /// Fields of `Profile`.
    pub(crate) fn code(&self) -> String {
        let mut code = String::from("calls: &[");
        for rule in &self.rules {
            let conditions: Vec<&str> = rule.args.iter().map(|c| c.comment.as_str()).collect();
            let _ = write!(
                code,
                "Call {{ name: {:?}, why: {:?}, conditions: &{conditions:?} }},",
                rule.syscall, rule.comment
            );
        }
        code.push_str("], filter: &[");
        for line in &self.program {
            let word = u64::from(line.code) << 48
                | u64::from(line.jt) << 40
                | u64::from(line.jf) << 32
                | u64::from(line.k);
            let _ = write!(code, "{word},");
        }
        code.push_str("],");
        code
    }
}
