//! What an operator reads from `nnctl`, in its text and in its JSON.

use std::fs;
use std::path::Path;

use nn_tensor::Reason;
use nn_tests::{Daemon, nnctl, require_backends, tiny_model};
use serde_json::Value;

use crate::judge::{Expected, Verdict, acquit, judge};

/// A command; `DIR` and `TINY` in it are directories.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) reason: Reason,
    args: &'static [&'static str],
    says: &'static [&'static str],
}

const fn row(reason: Reason, args: &'static [&'static str], says: &'static [&'static str]) -> Row {
    Row { reason, args, says }
}

/// Everything.
pub(crate) const ROWS: &[Row] = &[
    row(
        Reason::ModelUnknown,
        &["describe", "nosuch"],
        &["no model nosuch"],
    ),
    row(
        Reason::BackendUnknown,
        &["load", "m", "TINY/echo-f32.onnx", "--backend", "tensorrt"],
        &["onnxruntime, openvino", "tensorrt"],
    ),
    row(
        Reason::FrameworkMissing,
        &["load", "m", "TINY/echo-f32.onnx", "--backend", "openvino"],
        &["OpenVINO", "nnctl status"],
    ),
    row(
        Reason::ManifestWrong,
        &[
            "load",
            "m",
            "TINY/echo-f32.onnx",
            "--manifest",
            "DIR/misspelt.toml",
        ],
        &["compute_ms_mx", "did you mean compute_ms_max?"],
    ),
    row(
        Reason::ManifestWrong,
        &[
            "load",
            "m",
            "TINY/echo-f32.onnx",
            "--manifest",
            "DIR/warm.toml",
        ],
        &["inptu", "did you mean inputs.input?"],
    ),
    row(
        Reason::ModelsFull,
        &["load", "m", "TINY/add-f32.onnx"],
        &["at most 2", "limits.models_max"],
    ),
];

fn write(dir: &Path) {
    fs::write(dir.join("misspelt.toml"), "compute_ms_mx = 5\n").unwrap();
    let warm = "[[warm_up]]\ninputs.inptu = { shape = [1] }\n";
    fs::write(dir.join("warm.toml"), warm).unwrap();
}

/// The error of a command that failed, put together as a guest would read it.
fn error(daemon: &Daemon, args: &[&str]) -> String {
    let output = nnctl(daemon, &[&["--json"], args].concat());
    assert_ne!(output.code, Some(0), "{args:?}: {output:?}");
    let value: Value = serde_json::from_str(&output.stdout).unwrap();
    let part = |name: &str| value["error"][name].as_str().unwrap_or_default().to_owned();
    let parts =
        ["expected", "got", "hint", "reason"].map(|name| format!("; {name}: {}", part(name)));
    format!("{}{}", part("message"), parts.concat())
}

fn verdict(daemon: &Daemon, row: &Row, dir: &Path) -> Verdict {
    if row.reason == Reason::ModelsFull {
        daemon.load("second", &tiny_model("echo-f32"));
    }
    let tiny = tiny_model("x");
    let tiny = tiny.parent().unwrap().to_str().unwrap();
    let args: Vec<String> = row
        .args
        .iter()
        .map(|arg| {
            arg.replace("DIR", dir.to_str().unwrap())
                .replace("TINY", tiny)
        })
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let expected = Expected {
        reason: row.reason,
        says: row.says,
        logged: false,
    };
    judge(&row.args.join(" "), &error(daemon, &args), &expected, None)
}

#[test]
fn what_an_operator_reads_names_its_reason_and_what_to_do() {
    require_backends!();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let daemon = Daemon::builder().with_limits("models_max = 2").start();
    daemon.load("echo-f32", &tiny_model("echo-f32"));
    acquit(ROWS.iter().map(|row| verdict(&daemon, row, dir.path())));
}

#[test]
fn a_reason_is_explained_and_a_misspelt_one_told_the_nearest() {
    let daemon = Daemon::start();
    let told = nnctl(&daemon, &["explain", "input-dtype"]).ok().stdout;
    assert!(
        told.contains("guest author") && told.contains("nnctl describe"),
        "{told}"
    );
    let missed = nnctl(&daemon, &["explain", "inptu-dtype"]);
    assert_eq!(missed.code, Some(4));
    assert!(
        missed.stderr.contains("did you mean input-dtype?"),
        "{missed:?}"
    );
}
