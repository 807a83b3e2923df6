//! Models that crash their workers: they are refused by their bytes, whoever brings them and by whatever name, until
//! the operator says otherwise; and nobody who tries again and again keeps the machine busy with them.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use nn_client::{Client, Format, Graph};
use nn_tensor::{Code, DType, Fault, Tenant};
use nn_tests::{
    Daemon, Output, children, compute_of, fake_model, kill, nnctl, require_backends, stop,
    wait_until,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// By a fault of its own, as the fake is told to.
const SIGSEGV: i64 = 1;

/// Longer than the daemon waits for the report of an end of a worker that may be alive.
const LATE: Duration = Duration::from_millis(3500);

/// What `nnctl` ends with where policy refuses.
const REFUSED: Option<i32> = Some(5);

fn daemon(limits: &str) -> Daemon {
    let builder = Daemon::builder().with_worker("nn-worker-fake");
    builder.with_limits(limits).start()
}

fn client_of(daemon: &Daemon, tenant: &str) -> Client {
    Client::new(daemon.socket(), tenant.parse::<Tenant>().unwrap())
}

async fn crash(graph: &Graph) -> Fault {
    let how = SIGSEGV.to_le_bytes();
    let answer = compute_of(graph, &[("how", DType::I64, &[], &how)], None).await;
    answer.err().unwrap()
}

async fn crash_thrice(graph: &Graph) {
    for _ in 0..3 {
        let fault = crash(graph).await;
        assert_eq!(fault.code, Code::BackendCrashed, "{fault}");
    }
}

fn load(daemon: &Daemon, name: &str, model: &str) -> Output {
    let path = fake_model(model);
    nnctl(daemon, &["load", name, path.to_str().unwrap()])
}

fn quarantined(daemon: &Daemon) -> Vec<Value> {
    let list = daemon.json(&["quarantine", "list"]);
    list["quarantined"].as_array().unwrap().clone()
}

/// How many workers have ended by a crash.
fn crashes(daemon: &Daemon) -> u64 {
    daemon.ended("crash")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_crashes_three_times_is_refused_by_any_name_and_way_and_after_a_restart() {
    require_backends!();
    let mut daemon = daemon("");
    daemon.load("crash", &fake_model("crash"));
    let graph = daemon.client().resolve("crash").await.unwrap();
    crash_thrice(&graph).await;

    let held = crash(&graph).await;
    assert_eq!(held.code, Code::Security, "{held}");
    assert!(held.message.contains("quarantined"), "{held}");
    assert!(held.got.contains("3 by crash"), "{held}");
    assert!(held.hint.contains("nnctl quarantine lift"), "{held}");
    let listed = nnctl(&daemon, &["list"]).ok().stdout;
    assert!(listed.contains("quarantined"), "{listed}");
    assert_eq!(load(&daemon, "other", "crash").code, REFUSED);
    let bytes = fs::read(fake_model("crash")).unwrap();
    let client = client_of(&daemon, "shop");
    let guest = client
        .load(Format::Onnx, std::slice::from_ref(&bytes))
        .await;
    assert_eq!(guest.err().unwrap().code, Code::Security);
    assert_eq!(daemon.workers(), Vec::<u32>::new());

    tokio::task::block_in_place(|| assert!(daemon.terminate(), "{}", daemon.log()));
    daemon.restart();
    assert_eq!(load(&daemon, "third", "crash").code, REFUSED);
    let again = daemon.client().resolve("crash").await.unwrap_err();
    assert_eq!(again.code, Code::Security, "{again}");
    assert_eq!(daemon.workers(), Vec::<u32>::new());
    assert_eq!(crashes(&daemon), 0);
    assert_eq!(quarantined(&daemon)[0]["models"][0], "crash@1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lifted_runs_again_for_those_who_hold_it_too() {
    require_backends!();
    let daemon = daemon("");
    daemon.load("crash", &fake_model("crash"));
    let graph = daemon.client().resolve("crash").await.unwrap();
    crash_thrice(&graph).await;
    assert_eq!(crash(&graph).await.code, Code::Security);

    let sha256 = quarantined(&daemon)[0]["sha256"].clone();
    let prefix = &sha256.as_str().unwrap()[..8];
    assert_eq!(
        nnctl(&daemon, &["quarantine", "lift", "nothing"]).code,
        Some(4)
    );
    let lifted = nnctl(&daemon, &["quarantine", "lift", prefix]).ok().stdout;
    assert!(lifted.contains("crash@1 may be tried again"), "{lifted}");
    assert_eq!(quarantined(&daemon), Vec::<Value>::new());

    wait_until("it runs again", SOON, || daemon.workers().len() == 1);
    assert_eq!(crash(&graph).await.code, Code::BackendCrashed);
    assert_eq!(
        nnctl(&daemon, &["quarantine", "lift", "crash"]).code,
        Some(4)
    );
}

#[test]
fn what_crashes_at_load_is_refused_before_a_worker_is_started() {
    require_backends!();
    let daemon = daemon("");
    let first = load(&daemon, "broken", "broken");
    assert!(first.stderr.contains("quarantined"), "{}", first.stderr);
    assert_eq!(crashes(&daemon), 3);

    let again = load(&daemon, "broken-again", "broken");
    assert_eq!(again.code, REFUSED, "{}", again.stderr);
    assert_eq!(crashes(&daemon), 3);
    let held = &quarantined(&daemon)[0];
    assert_eq!(
        (&held["at_load"], &held["tenant"]),
        (&true.into(), &"".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_crashes_its_own_copy_takes_the_model_from_its_tenant_alone() {
    require_backends!();
    let daemon = daemon("");
    let bytes = fs::read(fake_model("crash")).unwrap();
    let mallory = client_of(&daemon, "mallory");
    let graph = mallory
        .load(Format::Onnx, std::slice::from_ref(&bytes))
        .await
        .unwrap();
    crash_thrice(&graph).await;
    drop(graph);

    let again = mallory
        .load(Format::Onnx, std::slice::from_ref(&bytes))
        .await;
    assert_eq!(again.err().unwrap().code, Code::Security);
    let held = &quarantined(&daemon)[0];
    assert_eq!(
        (&held["tenant"], &held["guest"]),
        (&"mallory".into(), &true.into())
    );
    let alice = client_of(&daemon, "alice");
    assert!(alice.load(Format::Onnx, &[bytes]).await.is_ok());
    load(&daemon, "crash", "crash").success();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_gives_up_starts_a_bounded_number_of_workers() {
    require_backends!();
    const LONG: Duration = Duration::from_secs(10);
    // So many that the pauses alone hold it.
    let patient = daemon("quarantine_crashes = 100\nrestart_wait_ms_max = 500");
    let strict = daemon("");
    let mut attempts = [0, 0];
    for (daemon, attempts) in [&patient, &strict].into_iter().zip(&mut attempts) {
        daemon.load("crash", &fake_model("crash"));
        let graph = daemon.client().resolve("crash").await.unwrap();
        let begun = Instant::now();
        while begun.elapsed() < LONG / 2 {
            crash(&graph).await;
            *attempts += 1;
            // A client that is refused at once does not spin here, so that other tests get a turn.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let crashes = [crashes(&patient), crashes(&strict)];
    println!("{attempts:?} attempts crashed {crashes:?} workers");
    // 0, 0, 100, 200, … ms: the eighth start is 6.3 s after the first end.
    assert!((4..=8).contains(&crashes[0]), "{crashes:?}");
    assert_eq!(crashes[1], 3);
    assert!(attempts[1] > 3);
}

#[test]
fn a_damaged_file_of_the_quarantine_is_put_aside_and_the_daemon_starts() {
    require_backends!();
    let mut daemon = daemon("");
    assert!(daemon.terminate());
    let file = daemon.state_dir().join("quarantine.toml");
    fs::write(&file, "[[held]]\nsha256 = 7").unwrap();
    daemon.restart();
    assert_eq!(quarantined(&daemon), Vec::<Value>::new());
    assert!(file.with_extension("toml.damaged").is_file());
    assert!(
        daemon.log().contains("its file is damaged"),
        "{}",
        daemon.log()
    );
}

#[test]
fn a_guests_model_that_crashes_at_load_is_refused_to_nobody_else() {
    require_backends!();
    let daemon = daemon("");
    let bytes = fs::read(fake_model("broken")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let guest = |tenant: &str| {
        let client = client_of(&daemon, tenant);
        runtime
            .block_on(client.load(Format::Onnx, std::slice::from_ref(&bytes)))
            .err()
            .unwrap()
    };
    guest("mallory");
    assert_eq!(guest("mallory").code, Code::Security);
    assert_eq!(crashes(&daemon), 3);
    let held = &quarantined(&daemon)[0];
    let own = nix::unistd::geteuid().as_raw();
    assert_eq!(
        (&held["tenant"], &held["guest"], &held["uid"]),
        (&"mallory".into(), &true.into(), &own.into())
    );
    let list = nnctl(&daemon, &["quarantine", "list"]).ok().stdout;
    assert!(
        list.contains(&format!("guests of mallory, uid {own}")),
        "{list}"
    );

    // Others find out for themselves.
    guest("alice");
    assert_eq!(crashes(&daemon), 6);
    let operators = load(&daemon, "broken", "broken");
    assert_eq!(crashes(&daemon), 9);
    assert!(
        operators.stderr.contains("quarantined"),
        "{}",
        operators.stderr
    );
    assert_eq!(quarantined(&daemon).len(), 3);
}

/// The spawner of a daemon, which says nothing until it goes on.
struct Silent(Pid);

impl Silent {
    fn from_now(daemon: &Daemon) -> Self {
        let spawner = children(daemon.pid())[0];
        stop(spawner);
        Self(Pid::from_raw(i32::try_from(spawner).unwrap()))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(self.0, Signal::SIGCONT);
    }
}

#[test]
fn a_kill_that_is_reported_late_is_still_a_kill() {
    require_backends!();
    let daemon = daemon("");
    daemon.load("echo", &fake_model("echo"));
    let silent = Silent::from_now(&daemon);
    kill(daemon.workers()[0]);
    std::thread::sleep(LATE);
    drop(silent);
    wait_until("it is known", SOON, || daemon.ended("killed") == 1);
    assert_eq!(daemon.ended("other") + daemon.ended("protocol"), 0);
}

#[test]
fn a_kill_at_load_that_is_reported_late_is_no_breach_of_the_protocol() {
    require_backends!();
    let daemon = daemon("");
    let path = fake_model("stuck");
    nnctl(
        &daemon,
        &["load", "--no-wait", "stuck", path.to_str().unwrap()],
    )
    .success();
    wait_until("it loads", SOON, || daemon.workers().len() == 1);
    // Until it has the model, which nobody can see.
    std::thread::sleep(LATE / 3);
    let silent = Silent::from_now(&daemon);
    kill(daemon.workers()[0]);
    std::thread::sleep(LATE);
    drop(silent);
    wait_until("it is known", SOON, || daemon.ended("killed") == 1);
    assert_eq!(daemon.ended("other") + daemon.ended("protocol"), 0);
}
