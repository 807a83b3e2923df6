//! `nn-host run` over every kind of guest: components and core modules of each dialect, binary and text,
//! by name and by bytes, with and without the machine code of the run before.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nn_tests::{
    Daemon, Output, guest_wasm, nn_host, nn_host_with, processes_with, program, require_backends,
    run, tiny_model, wait_until,
};

const MODEL: &str = "efficientnet-lite0";
const MODEL_FILE: &str = "/models/efficientnet-lite0/1/model.onnx";
const PICTURE: &str = "/data/pictures/chelsea.png";

/// A core module that looks for a model named `echo`, which is index 4 of its memory, and leaves by the
/// errno.
const FIND_ECHO: &str = r#"(module
  (import "wasi_ephemeral_nn" "load_by_name" (func $load (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 4) "echo")
  (func (export "_start")
    (call $exit (call $load (i32.const 4) (i32.const 4) (i32.const 16)))))"#;

fn written(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("guest.wat");
    std::fs::write(&path, text).unwrap();
    path
}

fn classified(daemon: &Daemon, dialect: &str, guest: &str, model: &str) -> Output {
    let flags = ["--witx-dialect", dialect];
    nn_host_with(daemon, &flags, &guest_wasm(guest), &[model, PICTURE]).ok()
}

#[test]
fn core_modules_of_every_dialect_classify_as_the_component_does() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let component = nn_host(&daemon, "wit-classify", &[MODEL, PICTURE]).ok();
    assert!(component.stdout.contains("Egyptian cat"), "{component:?}");
    let modules = [
        classified(&daemon, "0.6", "witx-classify", MODEL),
        classified(&daemon, "0.5", "witx-classify-05", MODEL_FILE),
        classified(&daemon, "0.4", "witx-classify-04", MODEL_FILE),
    ];
    let printed = modules.map(|output| output.stdout);
    assert_eq!(printed, [(); 3].map(|()| component.stdout.clone()));
}

#[test]
fn a_core_module_as_text_runs_and_its_exit_code_passes_through() {
    require_backends!();
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let guest = written(dir.path(), FIND_ECHO);
    let unknown = nn_host_with(&daemon, &[], &guest, &[]);
    daemon.load("echo", &tiny_model("identity-fp32"));
    let known = nn_host_with(&daemon, &[], &guest, &[]);
    // 8 is not_found.
    assert_eq!(
        (unknown.code, known.code),
        (Some(8), Some(0)),
        "{unknown:?}"
    );
}

#[test]
fn why_a_core_modules_call_failed_is_in_the_log() {
    require_backends!();
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let guest = written(dir.path(), FIND_ECHO);
    let output = nn_host_with(&daemon, &["-vv"], &guest, &[]);
    assert!(output.stderr.contains("not_found (8)"), "{output:?}");
    assert!(output.stderr.contains("no model echo"), "{output:?}");
}

#[test]
fn a_core_module_that_is_no_command_is_told_so() {
    require_backends!();
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let guest = written(dir.path(), "(module (func (export \"main\")))");
    let output = nn_host_with(&daemon, &[], &guest, &[]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("_start"), "{output:?}");
    assert!(output.stderr.contains("hint:"), "{output:?}");
}

#[test]
fn a_trap_in_a_core_module_is_told_by_its_reason() {
    require_backends!();
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let guest = written(
        dir.path(),
        "(module (func (export \"_start\") unreachable))",
    );
    let output = nn_host_with(&daemon, &[], &guest, &[]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("unreachable"), "{output:?}");
}

#[test]
fn a_dialect_that_does_not_exist_is_a_wrong_usage_that_names_those_that_do() {
    let output = run("nn-host", &["run", "--witx-dialect", "0.7", "x.wasm"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(
        output.stderr.contains("0.4, 0.5, 0.6 or wasmedge"),
        "{output:?}"
    );
}

/// The names of all files below a directory.
fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path()),
            false => BTreeSet::from([entry.path()]),
        })
        .collect()
}

/// Machine code, without the cache's own book-keeping.
fn kept(dir: &Path) -> BTreeSet<PathBuf> {
    let code = |path: &PathBuf| path.extension().is_none() && !hidden(path);
    files(dir).into_iter().filter(code).collect()
}

fn hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with('.')
}

#[test]
fn a_guest_is_compiled_once_and_its_machine_code_used_again() {
    require_backends!();
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let flags = ["--cache-dir", cache.to_str().unwrap()];
    let tensors =
        |flags: &[&str]| nn_host_with(&daemon, flags, &guest_wasm("wit-cases"), &["tensor"]);
    let first = tensors(&flags).ok();
    let after_first = kept(&cache);
    let second = tensors(&flags).ok();
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(after_first.len(), 1, "{after_first:?}");
    assert_eq!(kept(&cache), after_first);
}

#[test]
fn a_cache_that_others_may_write_is_refused_where_it_was_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    require_backends!();
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let flags = ["--cache-dir", dir.path().to_str().unwrap()];
    let output = nn_host_with(&daemon, &flags, &guest_wasm("wit-cases"), &["tensor"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("mode 777"), "{output:?}");
    let without = nn_host_with(
        &daemon,
        &["--no-cache"],
        &guest_wasm("wit-cases"),
        &["tensor"],
    );
    assert_eq!(without.code, Some(0), "{without:?}");
    assert_eq!(files(dir.path()), BTreeSet::new());
}

#[test]
fn damaged_machine_code_is_dropped_and_the_guest_compiled_anew() {
    require_backends!();
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let flags = ["-v", "--cache-dir", cache.to_str().unwrap()];
    let tensors = || nn_host_with(&daemon, &flags, &guest_wasm("wit-cases"), &["tensor"]).ok();
    let first = tensors();
    let code = kept(&cache).pop_first().unwrap();
    let written = std::fs::read(&code).unwrap();
    let mut damaged = written.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4].copy_from_slice(&[0xff; 4]);
    std::fs::write(&code, damaged).unwrap();

    let second = tensors();

    assert_eq!(first.stdout, second.stdout);
    assert!(second.stderr.contains("was damaged"), "{second:?}");
    assert_eq!(std::fs::read(&code).unwrap(), written);
}

#[test]
fn what_a_private_daemon_complains_of_is_repeated() {
    require_backends!();
    let repository = tempfile::tempdir().unwrap();
    let version = repository.path().join("junk/1");
    std::fs::create_dir_all(&version).unwrap();
    std::fs::write(version.join("model.onnx"), "hello").unwrap();
    let guest = guest_wasm("wit-cases");
    let with = |repository: &Path| {
        let flags = ["--spawn-daemon", "--model-repository"];
        let paths = [repository.to_str().unwrap(), guest.to_str().unwrap()];
        let words = [&["run"], flags.as_slice(), &paths, &["noname", "junk"]].concat();
        run("nn-host", &words)
    };
    let junk = with(repository.path());
    let missing = with(&repository.path().join("nosuch"));
    assert!(junk.stderr.contains("nn-daemon: "), "{junk:?}");
    assert!(junk.stderr.contains("left out"), "{junk:?}");
    assert_eq!(missing.code, Some(4), "{missing:?}");
    assert!(
        missing.stderr.contains("no model repository"),
        "{missing:?}"
    );
}

#[test]
fn what_a_file_says_cannot_drive_the_terminal_nor_flood_it() {
    let dir = tempfile::tempdir().unwrap();
    let guest = written(
        dir.path(),
        &format!("(module \x1b[31m {}", "x".repeat(1 << 20)),
    );
    let output = run("nn-host", &["run", guest.to_str().unwrap()]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(!output.stderr.contains('\x1b'), "{output:?}");
    assert!(output.stderr.len() < 64 * 1024, "{}", output.stderr.len());
}

#[test]
fn the_log_of_a_file_has_no_colours_and_none_of_other_crates_chatter() {
    require_backends!();
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let guest = written(dir.path(), FIND_ECHO);
    let output = nn_host_with(&daemon, &["-vv"], &guest, &[]);
    assert!(!output.stderr.contains('\x1b'), "{output:?}");
    assert!(!output.stderr.contains("frame"), "{output:?}");
}

#[test]
fn a_private_daemon_does_not_outlive_a_killed_host() {
    require_backends!();
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().to_str().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a host under test")]
    let mut host = Command::new(program("nn-host"))
        .args(["run", "--spawn-daemon"])
        .arg(guest_wasm("wit-cases"))
        .arg("spin")
        .env("TMPDIR", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = host.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert!(line.starts_with("ok spinning"), "{line}");
    assert_ne!(processes_with(ours), Vec::<u32>::new());

    host.kill().unwrap();
    host.wait().unwrap();

    wait_until("its daemon has ended", Duration::from_secs(10), || {
        processes_with(ours).is_empty()
    });
}
