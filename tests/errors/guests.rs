//! What a component reads: `wit-cases` with what it is told to do.

use std::fs;

use nn_host_shim::GuestLimits;
use nn_tensor::Reason;
use nn_tests::{Daemon, GuestHost, require_backends, tiny_model};

use crate::judge::{Expected, acquit, judge};
use crate::parts::{ends, model, node, value};

/// A run of the guest.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) reason: Reason,
    args: &'static [&'static str],
    says: &'static [&'static str],
    /// What it may hold, if that is the point.
    limits: fn(&mut GuestLimits),
    logged: bool,
}

const fn row(reason: Reason, args: &'static [&'static str], says: &'static [&'static str]) -> Row {
    Row {
        reason,
        args,
        says,
        limits: |_| (),
        logged: false,
    }
}

const fn within(mut row: Row, limits: fn(&mut GuestLimits)) -> Row {
    row.limits = limits;
    row
}

const fn logged(mut row: Row) -> Row {
    row.logged = true;
    row
}

/// Echoes three numbers.
const ECHO: &[&str] = &["run", "echo-f32", "1", "input=fp32:3:1"];

/// Everything, in the order in which a guest meets it.
pub(crate) const ROWS: &[Row] = &[
    row(
        Reason::ModelName,
        &["noname", "foo@0"],
        &["got: 0", "from 1 to"],
    ),
    row(
        Reason::ModelName,
        &["noname", "no such name"],
        &["got: no such name"],
    ),
    row(
        Reason::ModelUnknown,
        &["noname", "nosuch"],
        &["no model nosuch", "nnctl list"],
    ),
    row(
        Reason::ModelUnknown,
        &["noname", "echo-f32@7"],
        &["no model echo-f32@7"],
    ),
    row(
        Reason::ModelUnknown,
        &["noname", "echo-f32:canary"],
        &["no model echo-f32:canary"],
    ),
    row(
        Reason::InputUnknown,
        &["run", "echo-f32", "1", "inptu=fp32:3:1"],
        &["no input inptu", "one of: input", "did you mean input?"],
    ),
    row(
        Reason::InputUnknown,
        &["run", "add-f32", "1", "zzz=fp32:3:1"],
        &["one of: a, b", "got: zzz", "nnctl describe"],
    ),
    row(
        Reason::InputUnknown,
        &["run", "constant-f32", "1", "0=fp32:3:1"],
        &["the model has no inputs"],
    ),
    row(
        Reason::InputTwice,
        &["run", "echo-f32", "1", "input=fp32:3:1", "0=fp32:3:1"],
        &["input input was given twice"],
    ),
    row(
        Reason::InputMissing,
        &["run", "add-f32", "1", "a=fp32:3:1"],
        &["input b is missing", "expected: fp32 [?]", "got: no tensor"],
    ),
    row(
        Reason::InputDtype,
        &["run", "echo-f32", "1", "input=i32:3:1"],
        &["input input", "expected: fp32 [?]", "got: i32 [3]"],
    ),
    row(
        Reason::InputRank,
        &["run", "echo-f32", "1", "input=fp32:2x2:1"],
        &["expected: fp32 [?]", "got: fp32 [2, 2]"],
    ),
    row(
        Reason::InputShape,
        &["run", "picture-f32", "1", "0=fp32:1x3x10x10:1"],
        &["224", "got: fp32 [1, 3, 10, 10]"],
    ),
    row(
        Reason::InputName,
        &["run", "echo-f32", "1", "=fp32:3:1"],
        &["got: 0 bytes"],
    ),
    row(
        Reason::TensorLength,
        &["bytes", "echo-f32", "input", "fp32", "4", "15"],
        &["expected: 16 bytes for fp32 [4]", "got: 15 bytes"],
    ),
    row(
        Reason::TensorRank,
        &[
            "bytes",
            "echo-f32",
            "input",
            "fp32",
            "1x1x1x1x1x1x1x1x1",
            "4",
        ],
        &["at most 8 dimensions", "got: 9 dimensions"],
    ),
    row(
        Reason::TensorSize,
        &[
            "bytes",
            "any-fp32",
            "0",
            "fp32",
            "4294967295x4294967295x4294967295",
            "4",
        ],
        &[],
    ),
    logged(row(
        Reason::RunFailed,
        &["run", "matmul-f32", "1", "0=fp32:2x3:1", "1=fp32:4x2:1"],
        &["MatMul"],
    )),
    logged(row(
        Reason::RunMemory,
        &["run", "zeros-f32", "1", "0=i64:1:30000000000"],
        &["limits.worker_memory_bytes", "asked for"],
    )),
    row(
        Reason::OutputTooLarge,
        &["run", "zeros-f32", "1", "0=i64:1:100000000"],
        &["limits.tensor_bytes_max"],
    ),
    row(
        Reason::EncodingUnsupported,
        &["load-bytes", "/models/echo-f32.onnx", "tensorflow"],
        &["got: tensorflow", "convert"],
    ),
    row(
        Reason::EncodingUnsupported,
        &["load-bytes", "/models/echo-f32.onnx", "ggml"],
        &["got: ggml"],
    ),
    row(
        Reason::TargetUnsupported,
        &["load-bytes", "/models/echo-f32.onnx", "onnx", "tpu"],
        &["got: tpu", "cpu"],
    ),
    row(
        Reason::PartsWrong,
        &["load-bytes", "/models/echo-f32.onnx,/models/add-f32.onnx"],
        &["got: 2 parts"],
    ),
    row(
        Reason::VetRank,
        &["load-bytes", "/models/rank9-f32.onnx"],
        &["at most 8"],
    ),
    row(
        Reason::VetFormat,
        &["load-bytes", "/bad/text"],
        &["torch.onnx.export"],
    ),
    row(
        Reason::SignatureUnsupported,
        &["load-bytes", "/models/identity-bool.onnx"],
        &["bool"],
    ),
    logged(row(
        Reason::OperatorUnsupported,
        &["load-bytes", "/bad/operator"],
        &["NoSuchOperator", "operator set 17", "ONNX Runtime 1."],
    )),
    logged(row(
        Reason::OperatorUnsupported,
        &["load-bytes", "/bad/opset"],
        &["operator set 99", "ONNX Runtime 1."],
    )),
    logged(row(
        Reason::ModelUnreadable,
        &["load-bytes", "/bad/types"],
        &["Add"],
    )),
    within(
        row(
            Reason::GuestModelsFull,
            &["load-bytes", "/models/echo-f32.onnx"],
            &["at most 0"],
        ),
        |limits| {
            limits.models_max = 0;
        },
    ),
    within(
        row(
            Reason::ModelTooLarge,
            &["load-bytes", "/models/echo-f32.onnx"],
            &["at most 10 bytes"],
        ),
        |limits| {
            limits.model_bytes_max = 10;
        },
    ),
    within(
        row(Reason::GuestTensorsFull, ECHO, &["at most 0"]),
        |limits| {
            limits.tensors_max = 0;
        },
    ),
    within(
        row(Reason::GuestTensorBytesFull, ECHO, &["at most 4 bytes"]),
        |limits| {
            limits.tensor_bytes_max = 4;
        },
    ),
    within(
        row(
            Reason::GuestHandlesFull,
            ECHO,
            &["too many graphs", "at most 0"],
        ),
        |limits| {
            limits.graphs_max = 0;
        },
    ),
    within(
        row(
            Reason::GuestHandlesFull,
            ECHO,
            &["too many execution contexts"],
        ),
        |limits| {
            limits.contexts_max = 0;
        },
    ),
    within(
        row(Reason::GuestHandlesFull, ECHO, &["too many computes"]),
        |limits| {
            limits.in_flight_max = 0;
        },
    ),
];

/// Models that the framework refuses, and a text.
fn write_bad(dir: &std::path::Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
    let operator = [node(&["x"], &["y"], "NoSuchOperator", b""), ends()].concat();
    write("operator", &model(&operator));
    let relu = [
        node(&["x"], &["y"], "Relu", b""),
        nn_onnx_writer::graph::name("g"),
        ends(),
    ];
    write("opset", &nn_onnx_writer::model::of(&relu.concat(), 99));
    let types = [
        value(11, "n", nn_onnx_writer::INT64, &[None]),
        node(&["x", "n"], &["y"], "Add", b""),
        ends(),
    ];
    write("types", &model(&types.concat()));
    write("text", b"this is no model, whatever it says");
}

#[tokio::test]
async fn what_a_component_reads_says_what_to_do_and_nothing_of_the_inside() {
    require_backends!();
    let dir = tempfile::tempdir().unwrap();
    write_bad(dir.path());
    let daemon = Daemon::builder()
        .with_limits("tensor_bytes_max = 67108864")
        .start();
    let models = [
        "echo-f32",
        "add-f32",
        "picture-f32",
        "matmul-f32",
        "zeros-f32",
        "any-fp32",
        "constant-f32",
    ];
    for name in models {
        daemon.load(name, &tiny_model(name));
    }
    let tiny = tiny_model("echo-f32");
    let mut verdicts = Vec::new();
    let host = GuestHost::new(&daemon.client())
        .with_dir(tiny.parent().unwrap(), "/models")
        .with_dir(dir.path(), "/bad");
    let guest = host.guest("wit-cases");
    for row in ROWS {
        let mut limits = GuestLimits::default();
        (row.limits)(&mut limits);
        let guest = guest.with_limits(limits);
        let (text, _) = guest.run(row.args).await.unwrap();
        let expected = Expected {
            reason: row.reason,
            says: row.says,
            logged: row.logged,
        };
        verdicts.push(judge(&row.args.join(" "), &text, &expected, Some(&daemon)));
    }
    acquit(verdicts);
}
