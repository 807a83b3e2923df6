//! What happens in the broker's jail when something goes wrong: a process of these tests is started again, jails itself
//! as the daemon does, and does what a defect would do.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy takes for production code"
)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::thread;

use nn_sandbox::{Facts, OwnAsk, OwnPlan, OwnProfile, enter, own_steps};

/// Set in a process that was started again: the directory that is left to it.
const STATE: &str = "NN_SANDBOX_TEST_STATE";

/// How the kernel ends a process for a call that its filter does not allow.
const SIGSYS: i32 = 31;

/// How abort() does.
const SIGABRT: i32 = 6;

/// This test again, in a process of its own.
fn again(test: &str) -> Output {
    let own = std::env::current_exe().unwrap();
    let state = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the process under test")]
    let mut command = Command::new(own);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command
        .env(STATE, state.path())
        .env("RUST_BACKTRACE", "full");
    command.output().unwrap()
}

/// In the process that was started again.
fn state() -> Option<PathBuf> {
    std::env::var_os(STATE).map(Into::into)
}

/// Jails this thread, and every thread's calls.
fn jail(state: &Path) {
    let profile = OwnProfile::named("broker").unwrap();
    let plan = OwnPlan::new(profile, &Facts::read());
    let ask = OwnAsk {
        places: vec![("state_dir", vec![state.to_owned()])],
        ..OwnAsk::default()
    };
    enter(&own_steps(profile, &plan.active(), &ask)).unwrap();
}

fn ended(output: &Output) -> (ExitStatus, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status, text)
}

#[test]
fn a_panic_with_its_trace_in_another_thread_leaves_the_jailed_process_alive() {
    let Some(state) = state() else {
        let test = "a_panic_with_its_trace_in_another_thread_leaves_the_jailed_process_alive";
        let (status, text) = ended(&again(test));
        assert!(status.success(), "{status} {text}");
        assert!(
            text.contains("on purpose") && text.contains("alive"),
            "{text}"
        );
        return;
    };
    jail(&state);
    let named = thread::Builder::new().name("panics".to_owned());
    let thread = named.spawn(|| panic!("on purpose")).unwrap();
    assert!(thread.join().is_err());
    // Memory that goes back by each way, and a second heap.
    let named = thread::Builder::new();
    let large = named.spawn(|| vec![1_u8; 64 << 20].len()).unwrap();
    assert_eq!(large.join().unwrap(), 64 << 20);
    eprintln!("alive");
}

#[test]
fn an_abort_in_the_jail_is_an_abort() {
    let Some(state) = state() else {
        let (status, text) = ended(&again("an_abort_in_the_jail_is_an_abort"));
        assert_eq!(status.signal(), Some(SIGABRT), "{text}");
        return;
    };
    jail(&state);
    std::process::abort();
}

#[test]
fn files_elsewhere_are_refused_and_a_socket_is_the_end() {
    let Some(state) = state() else {
        let test = "files_elsewhere_are_refused_and_a_socket_is_the_end";
        let (status, text) = ended(&again(test));
        assert!(text.contains("refused: PermissionDenied"), "{text}");
        assert_eq!(status.signal(), Some(SIGSYS), "{text}");
        return;
    };
    if Facts::read().missing(nn_sandbox::Layer::Landlock).is_some() {
        eprintln!("refused: PermissionDenied is not to be had without Landlock");
    }
    let file = state.join("kept");
    jail(&state);
    fs::write(&file, "written").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"written");
    match panic::catch_unwind(|| fs::read("/etc/passwd")) {
        Ok(Err(error)) => eprintln!("refused: {:?}", error.kind()),
        other => eprintln!("not refused: {other:?}"),
    }
    let _ = std::net::UdpSocket::bind("127.0.0.1:0");
    eprintln!("lived on");
}
