//! Workers that wait beside others: they give way to whoever needs their room, come back, and end with what they wait for.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::time::Duration;

use nn_client::{Client, Graph};
use nn_tensor::{Code, DType, Fault, Tenant};
use nn_tests::{Daemon, compute_of, fake_model, kill, nnctl, require_backends, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// Longer than the pauses after which one is tried again.
const PATIENT: Duration = Duration::from_secs(60);

/// By a fault of its own, and never, as the fake is told to.
const SIGSEGV: i64 = 1;
const HANG: i64 = 4;

fn daemon(limits: &str) -> Daemon {
    let builder = Daemon::builder().with_worker("nn-worker-fake");
    let builder = builder.with_workers("warm_spare = true");
    builder.with_limits(limits).start()
}

fn client_of(daemon: &Daemon) -> Client {
    Client::new(daemon.socket(), Tenant::default())
}

async fn crash(graph: &Graph, how: i64) -> Fault {
    let how = how.to_le_bytes();
    let answer = compute_of(graph, &[("how", DType::I64, &[], &how)], None).await;
    answer.err().unwrap()
}

async fn echo(graph: &Graph) {
    let bytes = 1_f32.to_le_bytes();
    let answer = compute_of(graph, &[("x", DType::Fp32, &[1], &bytes)], None).await;
    assert_eq!(answer.unwrap().len(), 1);
}

/// The process that waits beside a model.
fn spare(daemon: &Daemon, model: &str) -> Option<u64> {
    let models = daemon.models();
    let of = models.iter().find(|of| of["name"] == model)?;
    let instances = of["instances"].as_array().unwrap();
    let spare = instances.iter().find(|of| of["spare"] == true)?;
    spare["pid"].as_u64()
}

fn load_with_spare(daemon: &Daemon, model: &str) {
    daemon.load(model, &fake_model(model));
    wait_until("there is a spare", SOON, || spare(daemon, model).is_some());
}

#[test]
fn a_spare_gives_its_place_to_a_load_and_comes_back_when_there_is_room() {
    require_backends!();
    let daemon = daemon("workers_max = 2");
    load_with_spare(&daemon, "echo");

    daemon.load("add", &fake_model("add"));
    assert_eq!(spare(&daemon, "echo"), None);
    assert_eq!(daemon.workers().len(), 2);
    let status = nnctl(&daemon, &["status"]).ok().stdout;
    assert!(status.contains("2 without a spare"), "{status}");
    assert_eq!(daemon.ended("killed") + daemon.ended("other"), 0);

    nnctl(&daemon, &["unload", "add"]).success();
    wait_until("the spare is back", PATIENT, || {
        spare(&daemon, "echo").is_some()
    });
    assert_eq!(daemon.status()["spares_missing"], 0);
}

#[test]
fn a_load_for_which_there_is_no_place_even_without_spares_is_refused() {
    require_backends!();
    let daemon = daemon("workers_max = 2");
    load_with_spare(&daemon, "echo");
    daemon.load("add", &fake_model("add"));
    // They would rest otherwise.
    for model in ["echo", "add"] {
        nnctl(&daemon, &["pin", model]).success();
    }

    let path = fake_model("sleep");
    let third = nnctl(
        &daemon,
        &["--json", "load", "sleep", path.to_str().unwrap()],
    );
    let told: Value = serde_json::from_str(&third.stdout).unwrap();
    assert_eq!(told["error"]["code"], "busy", "{told}");
    assert_eq!(daemon.workers().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_spares_that_of_the_model_that_was_used_last_stays() {
    require_backends!();
    let daemon = daemon("workers_max = 4");
    load_with_spare(&daemon, "echo");
    load_with_spare(&daemon, "add");
    let graph = client_of(&daemon).resolve("echo").await.unwrap();
    echo(&graph).await;
    let stays = spare(&daemon, "echo");

    daemon.load("sleep", &fake_model("sleep"));
    assert_eq!(spare(&daemon, "add"), None);
    assert_eq!(spare(&daemon, "echo"), stays);
}

#[test]
fn a_spares_memory_is_given_to_a_load() {
    require_backends!();
    let daemon = daemon("worker_memory_bytes = 268435456\nworkers_memory_bytes_max = 600000000");
    load_with_spare(&daemon, "echo");
    daemon.load("add", &fake_model("add"));
    assert_eq!(spare(&daemon, "echo"), None);
    assert_eq!(daemon.workers().len(), 2);
}

#[test]
fn loads_at_once_have_a_spares_place_each() {
    require_backends!();
    let daemon = daemon("workers_max = 4");
    load_with_spare(&daemon, "echo");
    load_with_spare(&daemon, "add");
    std::thread::scope(|scope| {
        for model in ["sleep", "deaf"] {
            let load = || daemon.load(model, &fake_model(model));
            std::thread::Builder::new()
                .spawn_scoped(scope, load)
                .unwrap();
        }
    });
    assert_eq!(daemon.workers().len(), 4);
    let status = nnctl(&daemon, &["status"]).ok().stdout;
    assert!(status.contains("4, 4 without a spare"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_model_has_its_spare_ended_while_its_last_compute_still_runs() {
    require_backends!();
    let daemon = daemon("drain_ms_max = 15000");
    load_with_spare(&daemon, "crash");
    let path = fake_model("crash");
    nnctl(&daemon, &["load", "same", path.to_str().unwrap()]).success();
    wait_until("there is a spare", SOON, || {
        spare(&daemon, "same").is_some()
    });
    let client = client_of(&daemon);
    let crashes = client.resolve("crash").await.unwrap();
    let hangs = client.resolve("same").await.unwrap();
    let hang = tokio::spawn(async move { crash(&hangs, HANG).await });
    wait_until("it runs", SOON, || {
        let models = daemon.models();
        let same = models.iter().find(|of| of["name"] == "same").unwrap();
        same["instances"][0]["in_flight"] == 1
    });
    for _ in 0..3 {
        assert_eq!(crash(&crashes, SIGSEGV).await.code, Code::BackendCrashed);
    }
    assert_eq!(crash(&crashes, SIGSEGV).await.code, Code::Security);
    // The one that has the compute.
    wait_until("spares are gone", SOON, || daemon.workers().len() == 1);
    let listed = nnctl(&daemon, &["list"]).ok().stdout;
    assert_eq!(listed.matches("quarantined").count(), 2, "{listed}");
    let last = daemon.workers();
    kill(last[0]);
    wait_until("no worker is left", SOON, || daemon.workers().is_empty());
    assert_eq!(hang.await.unwrap().code, Code::BackendCrashed);
}
