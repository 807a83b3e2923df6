//! Whom a worker serves: all tenants, or one; who takes over when it dies; and how many the machine has room for.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::time::Duration;

use nn_client::Client;
use nn_tensor::{Code, DType, Fault, Tenant};
use nn_tests::{Daemon, compute_of, fake_model, kill, nnctl, require_backends, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

const BY_TENANT: &str = "isolation = \"tenant\"";
const WITH_SPARE: &str = "warm_spare = true";

/// A daemon whose workers run no framework: what is tested is the daemon.
fn daemon(workers: &str, limits: &str) -> Daemon {
    let builder = Daemon::builder().with_worker("nn-worker-fake");
    builder.with_workers(workers).with_limits(limits).start()
}

fn client_of(daemon: &Daemon, tenant: &str) -> Client {
    Client::new(daemon.socket(), tenant.parse::<Tenant>().unwrap())
}

async fn echoes(client: &Client) -> bool {
    let graph = client.resolve("echo").await.unwrap();
    let bytes = 2.5_f32.to_le_bytes();
    let outputs = compute_of(&graph, &[("x", DType::Fp32, &[1], &bytes)], None).await;
    outputs.unwrap()[0].slot.to_vec().unwrap() == bytes
}

async fn crash(client: &Client) -> Fault {
    let graph = match client.resolve("crash").await {
        Ok(graph) => graph,
        Err(fault) => return fault,
    };
    let how = 1_i64.to_le_bytes();
    let outputs = compute_of(&graph, &[("how", DType::I64, &[], &how)], None).await;
    outputs.err().unwrap()
}

/// The instances of the first model: whom each serves, whether it waits, its process.
fn instances(daemon: &Daemon) -> Vec<(String, bool, Option<u64>)> {
    let instances = daemon.instances();
    let instance = |of: &Value| {
        let tenant = of["tenant"].as_str().unwrap().to_owned();
        (tenant, of["spare"].as_bool().unwrap(), of["pid"].as_u64())
    };
    instances.iter().map(instance).collect()
}

/// The process of the spare, if there is one.
fn spare(daemon: &Daemon) -> Option<u64> {
    let spare = instances(daemon).into_iter().find(|(_, spare, _)| *spare);
    spare.and_then(|(_, _, pid)| pid)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_tenants_share_one_worker_of_an_operators_model() {
    require_backends!();
    let daemon = daemon("", "");
    daemon.load("echo", &fake_model("echo"));
    let (one, other) = (client_of(&daemon, "one"), client_of(&daemon, "other"));
    assert!(echoes(&one).await && echoes(&other).await);
    assert_eq!(daemon.workers().len(), 1);
    assert_eq!(instances(&daemon)[0].0, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tenant_has_a_worker_of_its_own_and_unloading_ends_them_all() {
    require_backends!();
    let daemon = daemon(BY_TENANT, "");
    daemon.load("echo", &fake_model("echo"));
    let proven = daemon.workers();
    assert_eq!(proven.len(), 1, "the load has shown that it loads");

    let (one, other) = (client_of(&daemon, "one"), client_of(&daemon, "other"));
    assert!(echoes(&one).await);
    assert_eq!(daemon.workers(), proven, "the first tenant has that worker");
    assert!(echoes(&other).await && echoes(&one).await);
    let served = instances(&daemon);
    let tenants: Vec<&str> = served.iter().map(|(tenant, ..)| tenant.as_str()).collect();
    assert_eq!(tenants, ["one", "other"]);
    assert_ne!(served[0].2, served[1].2);
    assert_eq!(daemon.workers().len(), 2);
    let describe = nnctl(&daemon, &["describe", "echo"]).ok().stdout;
    assert!(describe.contains("tenant: a worker for each"), "{describe}");
    assert!(describe.contains("3 ok, 0 failed"), "{describe}");

    nnctl(&daemon, &["unload", "echo"]).success();
    wait_until("no worker is left", SOON, || daemon.workers().is_empty());
    assert_eq!(one.resolve("echo").await.unwrap_err().code, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_crashes_its_own_worker_harms_no_other() {
    require_backends!();
    let daemon = daemon(BY_TENANT, "");
    daemon.load("crash", &fake_model("crash"));
    let (one, other) = (client_of(&daemon, "one"), client_of(&daemon, "other"));
    let held = other.resolve("crash").await.unwrap();
    let pid = instances(&daemon)[0].2;
    for _ in 0..3 {
        assert_eq!(crash(&one).await.code, Code::BackendCrashed);
    }
    let refused = crash(&one).await;
    assert_eq!(refused.code, Code::Security, "{refused}");
    assert!(refused.message.contains("for tenant one"), "{refused}");
    assert_eq!(instances(&daemon), [("other".to_owned(), false, pid)]);

    // A second tenant's crashes make it everybody's matter.
    for _ in 0..3 {
        assert_eq!(crash(&other).await.code, Code::BackendCrashed);
    }
    drop(held);
    let third = crash(&client_of(&daemon, "third")).await;
    assert_eq!(third.code, Code::Security, "{third}");
    wait_until("no worker is left", SOON, || daemon.workers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_worker_that_nobody_uses_goes_after_a_while_and_comes_again() {
    require_backends!();
    let daemon = daemon(BY_TENANT, "tenant_worker_idle_ms = 200\nidle_ms = 100");
    daemon.load("echo", &fake_model("echo"));
    let client = client_of(&daemon, "one");
    assert!(echoes(&client).await);
    let held = client.resolve("echo").await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(daemon.workers().len(), 1, "its session holds it");
    drop((held, client));
    wait_until("no worker is left", SOON, || daemon.workers().is_empty());
    assert!(echoes(&client_of(&daemon, "one")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spare_takes_over_from_a_worker_that_dies_and_another_comes() {
    require_backends!();
    let daemon = daemon(WITH_SPARE, "");
    daemon.load("echo", &fake_model("echo"));
    let client = client_of(&daemon, "one");
    assert!(echoes(&client).await);
    wait_until("there is a spare", SOON, || spare(&daemon).is_some());
    let waits = spare(&daemon);
    let serves = instances(&daemon)[0].2.unwrap();

    kill(u32::try_from(serves).unwrap());
    wait_until("the spare serves", SOON, || {
        let first = instances(&daemon).into_iter().next();
        first.is_some_and(|(_, spare, pid)| !spare && pid == waits)
    });
    assert!(echoes(&client).await);
    wait_until("there is another spare", SOON, || spare(&daemon).is_some());
    assert_ne!(spare(&daemon), waits);
    let status = nnctl(&daemon, &["status"]).ok().stdout;
    assert!(status.contains("1 more spare"), "{status}");

    // One that dies while it waits is replaced as well.
    let waits = spare(&daemon);
    kill(u32::try_from(waits.unwrap()).unwrap());
    wait_until("there is a third spare", SOON, || {
        spare(&daemon).is_some_and(|pid| Some(pid) != waits)
    });
    nnctl(&daemon, &["unload", "echo"]).success();
    wait_until("no worker is left", SOON, || daemon.workers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_crashes_with_each_spare_is_quarantined_all_the_same() {
    require_backends!();
    let daemon = daemon(WITH_SPARE, "");
    daemon.load("crash", &fake_model("crash"));
    let client = client_of(&daemon, "one");
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(crash(&client).await.code);
    }
    let expected = [Code::BackendCrashed; 3]
        .into_iter()
        .chain([Code::Security]);
    assert!(told.iter().copied().eq(expected), "{told:?}");
    wait_until("no worker is left, nor a spare", SOON, || {
        daemon.workers().is_empty()
    });
}

#[test]
fn a_model_for_which_there_is_no_room_is_refused_and_no_worker_started() {
    require_backends!();
    let limits = "worker_memory_bytes = 268435456\nworkers_memory_bytes_max = 300000000";
    let daemon = daemon("", limits);
    daemon.load("echo", &fake_model("echo"));
    // It would rest otherwise.
    nnctl(&daemon, &["pin", "echo"]).success();
    let path = fake_model("add");
    let path = path.to_str().unwrap();

    let second = nnctl(&daemon, &["--json", "load", "add", path]);
    let told: Value = serde_json::from_str(&second.stdout).unwrap();
    assert_eq!(
        (second.code, &told["error"]["code"]),
        (Some(1), &"busy".into())
    );
    let hint = told["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("workers_memory_bytes_max"), "{told}");
    assert_eq!(daemon.workers().len(), 1);

    nnctl(&daemon, &["unload", "echo"]).success();
    wait_until("there is room again", SOON, || daemon.workers().is_empty());
    nnctl(&daemon, &["load", "add", path]).success();
}
