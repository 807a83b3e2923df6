//! Models that crash their workers: they are refused by their bytes, whoever brings them and by whatever name, until
//! the operator says otherwise; and nobody who tries again and again keeps the machine busy with them.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::fs;
use std::time::{Duration, Instant};

use nn_client::{Client, Format, Graph, Input};
use nn_tensor::{Code, DType, Fault, Shape, Tenant, TensorName};
use nn_tests::{Daemon, Output, fake_model, nnctl, require_backends, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// By a fault of its own, as the fake is told to.
const SIGSEGV: i64 = 1;

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
    let attempt = async {
        let slot = graph.reserve(8).await?;
        slot.copy_from(&SIGSEGV.to_le_bytes())?;
        let input = Input {
            name: TensorName::new("how")?,
            dtype: DType::I64,
            shape: Shape::new(&[]).unwrap(),
            slot,
        };
        graph.compute(vec![input], None).await
    };
    attempt.await.err().unwrap()
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

fn json(daemon: &Daemon, arguments: &[&str]) -> Value {
    let arguments = [&["--json"], arguments].concat();
    serde_json::from_str(&nnctl(daemon, &arguments).ok().stdout).unwrap()
}

fn quarantined(daemon: &Daemon) -> Vec<Value> {
    let list = json(daemon, &["quarantine", "list"]);
    list["quarantined"].as_array().unwrap().clone()
}

/// How many workers have ended by a crash.
fn crashes(daemon: &Daemon) -> u64 {
    let status = json(daemon, &["status"]);
    let ends = status["worker_ends"].as_array().unwrap();
    let crash = ends.iter().find(|end| end["cause"] == "crash").unwrap();
    crash["count"].as_u64().unwrap()
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
