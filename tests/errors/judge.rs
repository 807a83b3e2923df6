//! What a text must have, and what it must not.

use nn_tensor::{Fault, Reason};
use nn_tests::Daemon;

/// Words of this program, of its libraries and of its frameworks, which mean nothing to who reads a message.
const INTERNAL: &[&str] = &[
    "Ort",
    "onnxruntime::",
    "std::",
    "core::",
    "tokio",
    "tonic",
    "bincode",
    "prost",
    "serde",
    "memfd",
    "mmap",
    "panicked",
    "unwrap",
    "Err(",
    "Some(",
    "None",
    "nn_",
    "nn-vet",
    "nn-backend",
    "nn-worker",
    ".rs:",
    ".cc:",
    ".cpp:",
    ".so",
    "errno",
    "Status Message",
    "Exception",
    "SIGSYS",
    "seccomp",
    "landlock",
    "fd.sock",
    "nn.sock",
    "uid=",
    "target/",
    "/tmp",
];

/// A text of a row, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    wrong: Vec<String>,
}

/// What a row expects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) reason: Reason,
    pub(crate) says: &'static [&'static str],
    /// Whether the framework has spoken.
    pub(crate) logged: bool,
}

/// The part of a text behind a label.
fn part<'a>(text: &'a str, label: &str) -> &'a str {
    let after = text
        .split_once(&format!("; {label}: "))
        .map(|(_, after)| after);
    after.map_or("", |after| after.split("; ").next().unwrap_or(after))
}

/// Looks at a text that a fault prints as.
pub(crate) fn judge(
    name: &str,
    text: &str,
    expected: &Expected,
    daemon: Option<&Daemon>,
) -> Verdict {
    let mut verdict = Verdict::default();
    let mut wrong = |what: String| verdict.wrong.push(format!("{name}: {what}\n    {text}"));
    let reason = part(text, "reason").trim_end();
    if reason != expected.reason.id() {
        wrong(format!(
            "the reason is {reason:?} and not {}",
            expected.reason
        ));
    }
    if part(text, "hint").is_empty() {
        wrong("no hint".to_owned());
    }
    for said in expected.says.iter().filter(|said| !text.contains(**said)) {
        wrong(format!("it does not say {said:?}"));
    }
    // A unit is no path.
    for odd in ["/", "0x"]
        .iter()
        .chain(INTERNAL)
        .filter(|odd| text.contains(**odd))
    {
        wrong(format!("it says {odd:?}"));
    }
    if expected.logged {
        let id = part(text, "log").trim_end();
        let log = daemon.map(Daemon::log).unwrap_or_default();
        let told = log
            .lines()
            .find(|line| !id.is_empty() && line.contains(id) && line.contains("detail"));
        if told.is_none() {
            wrong(format!(
                "the daemon's log has no words of the framework under {id:?}"
            ));
        }
    }
    verdict
}

/// The same of a fault, whose code must be that of its reason.
pub(crate) fn judge_fault(
    name: &str,
    fault: &Fault,
    expected: &Expected,
    daemon: Option<&Daemon>,
) -> Verdict {
    let mut verdict = judge(name, &fault.to_string(), expected, daemon);
    if fault.code != expected.reason.code() {
        verdict
            .wrong
            .push(format!("{name}: the code is {}", fault.code));
    }
    verdict
}

/// Fails with all that is wrong.
pub(crate) fn acquit(verdicts: impl IntoIterator<Item = Verdict>) {
    let wrong: Vec<String> = verdicts
        .into_iter()
        .flat_map(|verdict| verdict.wrong)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
