//! The filter of a profile as it is written, and filters made of parts of it.

use std::collections::BTreeSet;

use seccompiler::{TargetArch, compile_from_json};
use serde_json::{Value, json};

#[cfg(target_arch = "x86_64")]
macro_rules! written {
    ($name:literal) => {
        include_str!(concat!("../../sandbox-profiles/x86_64/", $name, ".json"))
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! written {
    ($name:literal) => {
        include_str!(concat!("../../sandbox-profiles/aarch64/", $name, ".json"))
    };
}

/// The profile of workers.
const WORKER_ORT: &str = "worker-ort";

/// The jump that compares a number (BPF_JMP | BPF_JEQ | BPF_K of linux/bpf_common.h).
const COMPARE: u16 = 0x15;

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// As written.
    pub(crate) written: Value,
    pub(crate) syscall: String,
    pub(crate) number: u64,
    pub(crate) conditions: Vec<Condition>,
}

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) index: usize,
    /// The bits that count.
    pub(crate) mask: u64,
    /// What they must be, or be more than.
    pub(crate) value: u64,
    pub(crate) above: bool,
}

/// The rules of the profile of workers.
pub(crate) fn rules() -> Vec<Rule> {
    rules_of(WORKER_ORT)
}

/// The rules of a profile.
pub(crate) fn rules_of(name: &str) -> Vec<Rule> {
    let text = match name {
        WORKER_ORT => written!("worker-ort"),
        "worker-openvino" => written!("worker-openvino"),
        "relay" => written!("relay"),
        "dialer" => written!("dialer"),
        "broker" => written!("broker"),
        "spawner" => written!("spawner"),
        other => panic!("no profile is called {other}"),
    };
    let profile: Value = serde_json::from_str(text).expect("the profile is JSON");
    let filter = profile[name]["filter"].as_array();
    filter.expect("a filter").iter().map(Rule::read).collect()
}

/// These rules as instructions for a worker.
pub(crate) fn compile<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<u64> {
    let filter: Vec<&Value> = rules.into_iter().map(|rule| &rule.written).collect();
    let program = program(&json!(filter));
    let word = |line: &seccompiler::sock_filter| {
        u64::from(line.code) << 48
            | u64::from(line.jt) << 40
            | u64::from(line.jf) << 32
            | u64::from(line.k)
    };
    program.iter().map(word).collect()
}

fn program(filter: &Value) -> seccompiler::BpfProgram {
    let text = json!({ "f": {
        "mismatch_action": "kill_process", "match_action": "allow", "filter": filter
    } });
    let architecture = TargetArch::try_from(std::env::consts::ARCH).expect("an architecture");
    let mut programs = compile_from_json(text.to_string().as_bytes(), architecture).expect("rules");
    programs.remove("f").expect("the filter")
}

/// A system call's number, as the compiler of filters knows it: the second number that a program with that
/// call alone compares, after the architecture.
pub(crate) fn number(syscall: &str) -> u64 {
    let program = program(&json!([{ "syscall": syscall }]));
    let mut compared = program.iter().filter(|line| line.code == COMPARE);
    u64::from(compared.nth(1).expect("a comparison").k)
}

// === impl Rule ===

impl Rule {
    fn read(written: &Value) -> Self {
        let syscall = written["syscall"].as_str().expect("a name").to_owned();
        let none = Vec::new();
        let args = written["args"].as_array().unwrap_or(&none);
        Self {
            number: number(&syscall),
            syscall,
            conditions: args.iter().map(Condition::read).collect(),
            written: written.clone(),
        }
    }

    /// Its name, and the conditions in words.
    pub(crate) fn name(&self) -> String {
        let none = Vec::new();
        let args = self.written["args"].as_array().unwrap_or(&none).iter();
        let words: Vec<&str> = args.filter_map(|arg| arg["comment"].as_str()).collect();
        if words.is_empty() {
            self.syscall.clone()
        } else {
            format!("{} ({})", self.syscall, words.join(", "))
        }
    }

    /// Arguments that it allows.
    pub(crate) fn arguments(&self) -> [u64; 6] {
        let mut arguments = [0; 6];
        for condition in &self.conditions {
            arguments[condition.index] |= condition.value + u64::from(condition.above);
        }
        arguments
    }

    /// Whether it allows these.
    pub(crate) fn allows(&self, arguments: [u64; 6]) -> bool {
        self.conditions.iter().all(|c| c.holds(arguments[c.index]))
    }
}

impl Condition {
    fn read(written: &Value) -> Self {
        let value = written["val"].as_u64().expect("a value");
        let word = match written["type"].as_str() {
            Some("dword") => u64::from(u32::MAX),
            _ => u64::MAX,
        };
        let above = written["op"] == "gt";
        let mask = match &written["op"] {
            Value::String(op) if op == "eq" || above => word,
            Value::Object(op) => op["masked_eq"].as_u64().expect("a mask") & word,
            other => panic!("a comparison that these tests do not know: {other}"),
        };
        let index = written["index"]
            .as_u64()
            .and_then(|index| usize::try_from(index).ok());
        Self {
            index: index.expect("an argument's place"),
            mask,
            value,
            above,
        }
    }

    fn holds(self, argument: u64) -> bool {
        let counts = argument & self.mask;
        if self.above {
            counts > self.value
        } else {
            counts == self.value
        }
    }

    /// Values that break it: each bit that counts turned round, and other words that one might try.
    pub(crate) fn broken(self) -> BTreeSet<u64> {
        let bits = (0..32)
            .map(|bit| 1_u64 << bit)
            .filter(|bit| self.mask & bit != 0);
        let turned = bits.map(|bit| self.value ^ bit);
        let others = [0, 1, 2, 3, 4, 7, u64::from(u32::MAX)];
        let broken = |value: &u64| !self.holds(*value);
        turned.chain(others).filter(broken).collect()
    }
}

#[test]
fn the_profile_as_written_is_the_one_that_workers_get() {
    assert_eq!(compile(&rules()), super::probe::worker_ort().filter);
    for own in nn_sandbox::OwnProfile::all() {
        assert_eq!(compile(&rules_of(own.name)), own.filter, "{}", own.name);
    }
}
