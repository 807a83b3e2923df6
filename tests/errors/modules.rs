//! What a core module gets: a number, and what its host writes into its log beside it.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use nn_tensor::Reason;
use nn_tests::{Daemon, GuestHost, require_backends, tiny_model};
use tracing_subscriber::fmt::MakeWriter;

use crate::judge::{Expected, acquit, judge};

/// One call, after which the module exits with its errno.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) reason: Reason,
    errno: i32,
    call: &'static str,
    says: &'static [&'static str],
}

const fn row(reason: Reason, errno: i32, call: &'static str, says: &'static [&'static str]) -> Row {
    Row {
        reason,
        errno,
        call,
        says,
    }
}

/// The name of a model at 0, graph at 64, context at 68; a tensor of four fp32 at 128, one of no type at 256.
const MODULE: &str = r#"(module
  (import "wasi_ephemeral_nn" "load" (func $load (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "load_by_name" (func $load_by_name (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "init_execution_context" (func $init (param i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "set_input" (func $set_input (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "get_output" (func $get_output (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "compute" (func $compute (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "echo-f32nosuch\ff\fe")
  (data (i32.const 128) "\a0\00\00\00\01\00\00\00\01\00\00\00\c0\00\00\00\10\00\00\00")
  (data (i32.const 160) "\04\00\00\00")
  (data (i32.const 256) "\a0\00\00\00\01\00\00\00\63\00\00\00\c0\00\00\00\10\00\00\00")
  (data (i32.const 320) "\c0\00\00\00\10\00\00\00")
  (func $context (result i32)
    (drop (call $load_by_name (i32.const 0) (i32.const 8) (i32.const 64)))
    (drop (call $init (i32.load (i32.const 64)) (i32.const 68)))
    (i32.load (i32.const 68)))
  (func (export "_start") (local $c i32)
    (local.set $c (call $context))
    (call $exit CALL)))"#;

/// Everything.
pub(crate) const ROWS: &[Row] = &[
    row(
        Reason::ModelUnknown,
        8,
        "(call $load_by_name (i32.const 8) (i32.const 6) (i32.const 72))",
        &["no model nosuch"],
    ),
    row(
        Reason::TextWrong,
        1,
        "(call $load_by_name (i32.const 14) (i32.const 2) (i32.const 72))",
        &["not UTF-8"],
    ),
    row(
        Reason::PointerOutside,
        1,
        "(call $load_by_name (i32.const 65530) (i32.const 100) (i32.const 72))",
        &["100 bytes at 65530", "within 65536 bytes"],
    ),
    row(
        Reason::HandleUnknown,
        1,
        "(call $compute (i32.const 7))",
        &["got: 7"],
    ),
    row(
        Reason::InputMissing,
        1,
        "(call $compute (local.get $c))",
        &["input input is missing"],
    ),
    row(
        Reason::IndexUnknown,
        1,
        "(call $set_input (local.get $c) (i32.const 9) (i32.const 128))",
        &["no input of this index", "below 1", "got: 9"],
    ),
    row(
        Reason::TensorType,
        1,
        "(call $set_input (local.get $c) (i32.const 0) (i32.const 256))",
        &["got: 99", "dialect"],
    ),
    row(
        Reason::NoOutputs,
        5,
        "(call $get_output (local.get $c) (i32.const 0) (i32.const 512) (i32.const 16) (i32.const 72))",
        &["call compute"],
    ),
    row(
        Reason::BufferTooSmall,
        7,
        "(block (result i32)
           (drop (call $set_input (local.get $c) (i32.const 0) (i32.const 128)))
           (drop (call $compute (local.get $c)))
           (call $get_output (local.get $c) (i32.const 0) (i32.const 512) (i32.const 4) (i32.const 72)))",
        &["at least 16 bytes", "got: 4 bytes"],
    ),
    row(
        Reason::EncodingUnsupported,
        2,
        "(call $load (i32.const 320) (i32.const 1) (i32.const 99) (i32.const 0) (i32.const 72))",
        &["onnx"],
    ),
    row(
        Reason::TargetNumber,
        1,
        "(call $load (i32.const 320) (i32.const 1) (i32.const 1) (i32.const 77) (i32.const 72))",
        &["0 (cpu)", "got: 77"],
    ),
    row(
        Reason::VetFormat,
        2,
        "(call $load (i32.const 320) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 72))",
        &["torch.onnx.export"],
    ),
];

/// What is logged here, as text.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn taken(&self) -> String {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *bytes)).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The fault of the last failed call in a log.
fn last_fault(log: &str) -> String {
    let line = log
        .lines()
        .rev()
        .find(|line| line.contains("a guest's call failed"));
    let fault = line
        .and_then(|line| line.split_once("fault="))
        .map(|(_, fault)| fault);
    fault.unwrap_or_default().trim_matches('"').replace('"', "")
}

#[tokio::test]
async fn what_a_core_module_does_wrong_is_an_errno_and_a_line_in_its_hosts_log() {
    require_backends!();
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _here = tracing::subscriber::set_default(subscriber);
    let daemon = Daemon::start();
    daemon.load("echo-f32", &tiny_model("echo-f32"));
    let host = GuestHost::new(&daemon.client());
    let mut verdicts = Vec::new();
    for row in ROWS {
        let guest = host.guest_from_text(&MODULE.replace("CALL", row.call));
        let (_, errno) = guest.exit(&[]).await.unwrap();
        let text = last_fault(&log.taken());
        assert_eq!(errno, row.errno, "{}: {text}", row.call);
        let expected = Expected {
            reason: row.reason,
            says: row.says,
            logged: false,
        };
        verdicts.push(judge(
            &format!("errno {errno} of {}", row.reason),
            &text,
            &expected,
            None,
        ));
    }
    acquit(verdicts);
}
