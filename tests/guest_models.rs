//! Models that guests load from bytes: whose they are, how long they live, what they may cost, and that
//! what is refused leaves nothing.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

#[path = "guest_models/model.rs"]
mod model;
#[path = "guest_models/raw.rs"]
mod raw;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Place, echo, external, fake_echo, nonsense};
use nn_client::{Client, Format, Graph};
use nn_tensor::{Code, DType, Fault};
use nn_tests::{
    Daemon, DaemonBuilder, ProcState, compute_of, nnctl, require_backends, soak_seconds, wait_until,
};
use raw::Raw;
use sha2::{Digest, Sha256};

const SOON: Duration = Duration::from_secs(5);

/// A daemon whose workers run no framework: what is tested is the daemon.
fn fake_daemon(limits: &str) -> Daemon {
    let builder: DaemonBuilder = Daemon::builder().with_worker("nn-worker-fake");
    builder.with_limits(limits).start()
}

async fn load(client: &Client, bytes: &[u8]) -> Result<Arc<Graph>, Fault> {
    client.load(Format::Onnx, &[bytes.to_vec()]).await
}

/// Four floats there and back.
async fn echoes(graph: &Graph) -> Result<bool, Fault> {
    let bytes: Vec<u8> = [1_f32, 2.5, -3.0, 0.0]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let outputs = compute_of(graph, &[("0", DType::Fp32, &[4], &bytes)], None).await?;
    Ok(outputs[0].slot.to_vec()? == bytes)
}

/// What a daemon holds that only models and sessions could have made. The caller's session may live.
fn fds(daemon: &Daemon) -> usize {
    ProcState::of(daemon.pid()).unwrap().fds
}

fn wait_for_nothing(daemon: &Daemon, fds_before: usize) {
    wait_until("no worker is left", SOON, || daemon.workers().is_empty());
    wait_until("no descriptor is left", SOON, || fds(daemon) <= fds_before);
    assert_eq!(daemon.models().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_are_sent_once_and_run_in_one_worker() {
    require_backends!();
    let daemon = Daemon::start();
    let (one, other) = (daemon.client(), daemon.client());
    let bytes = echo(0);

    let first = load(&one, &bytes).await.unwrap();
    let again = load(&one, &bytes).await.unwrap();
    let elsewhere = other.load(Format::Detect, &[bytes]).await.unwrap();

    assert_eq!(daemon.workers().len(), 1);
    assert_eq!((one.stats().uploads, other.stats().uploads), (1, 0));
    for graph in [&first, &again, &elsewhere] {
        assert!(echoes(graph).await.unwrap());
    }
    let models = daemon.models();
    assert_eq!(models.len(), 1);
    assert_eq!(models[0]["source"], "guest");
    assert_eq!(models[0]["tenant"], "default");
    assert_eq!(models[0]["computes_ok"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_of_the_same_bytes_at_once_are_one_upload_and_one_model() {
    let daemon = fake_daemon("guest_models_per_tenant_max = 1");
    let bytes = Arc::new(fake_echo(0, 3_000_000));
    let clients: Vec<Client> = (0..8).map(|_| daemon.client()).collect();
    let loads: Vec<_> = clients
        .iter()
        .map(|client| {
            let (client, bytes) = (client.clone(), Arc::clone(&bytes));
            tokio::spawn(async move { load(&client, &bytes).await })
        })
        .collect();

    let mut graphs = Vec::new();
    for load in loads {
        graphs.push(load.await.unwrap().unwrap());
    }

    let uploads: u64 = clients.iter().map(|client| client.stats().uploads).sum();
    assert_eq!((uploads, daemon.workers().len()), (1, 1));
    assert_eq!(daemon.models().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_share_neither_model_nor_worker() {
    let daemon = fake_daemon("");
    let one = daemon.client();
    let other = Client::new(daemon.socket(), "other".parse().unwrap());
    let bytes = fake_echo(0, 0);

    let ones = load(&one, &bytes).await.unwrap();
    let others = load(&other, &bytes).await.unwrap();

    assert_eq!(daemon.workers().len(), 2);
    assert_eq!(other.stats().uploads, 1, "the digest alone gives nothing");
    let tenants: Vec<String> = daemon
        .models()
        .iter()
        .map(|model| model["tenant"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(tenants, ["default", "other"]);
    drop(ones);
    wait_until("one worker is left", SOON, || daemon.workers().len() == 1);
    assert!(echoes(&others).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_leads_to_a_guests_model() {
    let daemon = fake_daemon("");
    let client = daemon.client();
    let graph = load(&client, &fake_echo(0, 0)).await.unwrap();
    let name = graph.name().as_str();
    assert!(name.starts_with("guest-") && name.len() == 18, "{name}");

    let by_name = client.resolve(name).await.unwrap_err();
    let described = nnctl(&daemon, &["describe", name]);
    let unloaded = nnctl(&daemon, &["unload", name]);

    assert_eq!(by_name.code, Code::NotFound);
    assert_eq!((described.code, unloaded.code), (Some(4), Some(4)));
    assert!(echoes(&graph).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_model_of_the_same_name_is_another() {
    let daemon = fake_daemon("");
    let client = daemon.client();
    let graph = load(&client, &fake_echo(0, 0)).await.unwrap();
    let file = daemon.state_dir().join("operators.onnx");
    fs::write(&file, fake_echo(1, 0)).unwrap();

    daemon.load(graph.name().as_str(), &file);

    let named = client.resolve(graph.name().as_str()).await.unwrap();
    assert_eq!(daemon.workers().len(), 2);
    assert!(echoes(&named).await.unwrap());
    drop(graph);
    wait_until("the guest's is gone", SOON, || daemon.workers().len() == 1);
    assert!(echoes(&named).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_last_graph_the_worker_goes() {
    let daemon = fake_daemon("");
    let client = daemon.client();
    client.connect().await.unwrap();
    let before = fds(&daemon);
    let bytes = fake_echo(0, 100_000);
    let first = load(&client, &bytes).await.unwrap();
    let second = load(&client, &bytes).await.unwrap();
    assert!(echoes(&first).await.unwrap());

    drop(first);
    assert!(echoes(&second).await.unwrap());
    drop(second);

    wait_for_nothing(&daemon, before);
    assert_eq!(client.stats().in_slots, 0);
    assert!(echoes(&load(&client, &bytes).await.unwrap()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_given_back_while_another_session_holds_the_model_leaves_no_mapping() {
    let daemon = fake_daemon("");
    let (stays, goes) = (daemon.client(), daemon.client());
    let bytes = fake_echo(0, 0);
    let kept = load(&stays, &bytes).await.unwrap();
    assert!(echoes(&kept).await.unwrap());
    let worker = daemon.workers()[0];
    let maps = || ProcState::of(worker).unwrap().arena_maps;

    let given = load(&goes, &bytes).await.unwrap();
    assert!(echoes(&given).await.unwrap());
    let with_both = maps();
    drop(given);

    wait_until("its inputs are unmapped", SOON, || maps() == with_both - 1);
    let again = load(&goes, &bytes).await.unwrap();
    assert!(echoes(&again).await.unwrap() && echoes(&kept).await.unwrap());
    assert_eq!(maps(), with_both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_gives_everything_back() {
    let daemon = fake_daemon("");
    let before = fds(&daemon);
    let bytes = fake_echo(0, 0);
    let mut raw = Raw::open(&daemon).await;
    let sha256 = sha256(&bytes);
    let mut call = raw.load(bytes.len(), &sha256).await;
    assert_eq!(call.is_asked_to_send().await, Ok(true));
    call.chunk(&bytes).await;
    assert_eq!(call.end().await, Ok(false));
    assert_eq!(daemon.workers().len(), 1);

    drop(raw);

    wait_for_nothing(&daemon, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_model_too_many_is_busy_and_works_after_a_drop() {
    let daemon = fake_daemon("");
    let client = daemon.client();
    let mut graphs = Vec::new();
    for number in 0..8 {
        graphs.push(load(&client, &fake_echo(number, 0)).await.unwrap());
    }

    let refused = load(&client, &fake_echo(8, 0)).await.unwrap_err();
    let known = load(&client, &fake_echo(3, 0)).await;
    drop((graphs.remove(0), known.unwrap()));
    let accepted = load(&client, &fake_echo(8, 0)).await.unwrap();

    assert_eq!(refused.code, Code::Busy, "{refused}");
    assert!(
        refused.hint.contains("guest_models_per_tenant_max"),
        "{refused}"
    );
    assert!(echoes(&accepted).await.unwrap());
    assert!(echoes(&graphs[6]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_overtakes_what_its_client_gave_back_waits_for_it() {
    let daemon = fake_daemon("guest_models_per_tenant_max = 1");
    let mut raw = Raw::open(&daemon).await;
    let (one, other) = (fake_echo(0, 0), fake_echo(1, 0));
    let mut call = raw.load(one.len(), &sha256(&one)).await;
    assert_eq!(call.is_asked_to_send().await, Ok(true));
    call.chunk(&one).await;
    let graph = call.graph().await;
    let mut at_once = raw.load(other.len(), &sha256(&other)).await;
    let refused = at_once.is_asked_to_send().await.unwrap_err();

    let mut overtaking = raw.load_after(other.len(), &sha256(&other), 1).await;
    raw.release(graph).await;

    assert_eq!(refused.code, Code::Busy, "{refused}");
    assert_eq!(overtaking.is_asked_to_send().await, Ok(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_bounded_for_one_model_and_for_all_of_a_tenant() {
    let daemon =
        fake_daemon("guest_model_bytes_max = 1000000\nguest_model_bytes_per_tenant_max = 1500000");
    let client = daemon.client();
    let too_large = load(&client, &fake_echo(0, 1_000_000)).await.unwrap_err();
    let first = load(&client, &fake_echo(0, 900_000)).await.unwrap();
    let refused = load(&client, &fake_echo(1, 900_000)).await.unwrap_err();
    let small = load(&client, &fake_echo(2, 0)).await.unwrap();
    drop(first);
    let second = load(&client, &fake_echo(1, 900_000)).await.unwrap();

    assert_eq!(too_large.code, Code::TooLarge, "{too_large}");
    assert_eq!(refused.code, Code::Busy, "{refused}");
    assert_eq!(client.stats().uploads, 3, "what is refused is not sent");
    assert!(echoes(&small).await.unwrap() && echoes(&second).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_that_is_not_the_bytes_is_refused() {
    let daemon = fake_daemon("");
    let bytes = fake_echo(0, 0);
    let mut raw = Raw::open(&daemon).await;
    let before = fds(&daemon);
    let mut call = raw.load(bytes.len(), &[7; 32]).await;
    assert_eq!(call.is_asked_to_send().await, Ok(true));
    call.chunk(&bytes).await;
    let wrong = call.end().await.unwrap_err();
    let none = raw.load(bytes.len(), &[]).await.end().await.unwrap_err();

    assert_eq!(wrong.code, Code::InvalidArgument, "{wrong}");
    assert!(wrong.message.contains("digest"), "{wrong}");
    assert_eq!(none.code, Code::InvalidArgument, "{none}");
    wait_for_nothing(&daemon, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_ends_early_leaves_nothing_and_the_next_takes_over() {
    let daemon = fake_daemon("guest_models_per_tenant_max = 1");
    let bytes = fake_echo(0, 60_000);
    let (mut quits, mut stays) = (Raw::open(&daemon).await, Raw::open(&daemon).await);
    let before = fds(&daemon);
    let sha256 = sha256(&bytes);
    let (early, _) = bytes.split_at(10_000);

    let mut closed = quits.load(bytes.len(), &sha256).await;
    assert_eq!(closed.is_asked_to_send().await, Ok(true));
    closed.chunk(early).await;
    let mut waits = stays.load(bytes.len(), &sha256).await;
    let fault = closed.end().await.unwrap_err();
    assert_eq!(fault.code, Code::InvalidArgument, "{fault}");
    assert_eq!(waits.is_asked_to_send().await, Ok(true));
    waits.chunk(early).await;
    // Not even closed: reset in mid-way.
    drop(waits);
    wait_for_nothing(&daemon, before);

    let client = daemon.client();
    assert!(echoes(&load(&client, &bytes).await.unwrap()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_nobody_waits_for_any_more_leaves_nothing() {
    let daemon = fake_daemon("");
    let client = daemon.client();
    client.connect().await.unwrap();
    let before = fds(&daemon);
    let bytes = fake_echo(0, 4_000_000);

    for patience in [1, 5, 20, 60, 200] {
        let load = load(&client, &bytes);
        drop(tokio::time::timeout(Duration::from_millis(patience), load).await);
    }

    wait_for_nothing(&daemon, before);
    assert!(echoes(&load(&client, &bytes).await.unwrap()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_leaves_no_process_and_no_descriptor() {
    require_backends!();
    let daemon = Daemon::start();
    let client = daemon.client();
    client.connect().await.unwrap();
    let before = ProcState::of(daemon.pid()).unwrap();
    let loads = if soak_seconds(0).is_zero() { 20 } else { 1000 };
    let mut cut = echo(0);
    cut.truncate(90);

    for number in 0..loads {
        let junk = match number % 5 {
            0 => format!("text {number}").into_bytes(),
            1 => nonsense(number),
            2 => external(Place::Initializer, &format!("weights{number}.bin")),
            3 => [cut.clone(), number.to_le_bytes().to_vec()].concat(),
            _ => Vec::new(),
        };
        let fault = client.load(Format::Detect, &[junk]).await.unwrap_err();
        assert!(
            matches!(fault.code, Code::InvalidEncoding | Code::RuntimeError),
            "{number}: {fault:?}"
        );
    }

    wait_for_nothing(&daemon, before.fds);
    let after = ProcState::of(daemon.pid()).unwrap();
    println!("{loads} loads of junk; before {before:?}, after {after:?}");
    assert!(after.anonymous_kib < before.anonymous_kib + 8192);
    assert!(
        echoes(&load(&client, &echo(0)).await.unwrap())
            .await
            .unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_in_another_format_are_named() {
    let daemon = fake_daemon("");
    let zip = b"PK\x03\x04 something".to_vec();
    let fault = daemon
        .client()
        .load(Format::Detect, &[zip])
        .await
        .unwrap_err();
    assert_eq!(fault.code, Code::InvalidEncoding);
    assert!(fault.got.contains("zip"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn external_data_is_refused_and_no_file_is_read() {
    require_backends!();
    let daemon = Daemon::start();
    let client = daemon.client();
    let secret = daemon.state_dir().join("secret.bin");
    fs::write(&secret, [1; 16]).unwrap();
    let read_at = |path: &Path| fs::metadata(path).unwrap().accessed().unwrap();
    let before = read_at(&secret);
    let absolute = secret.to_str().unwrap();
    let model = daemon.state_dir().join("model.onnx");
    let model_path = model.to_str().unwrap();

    for place in [Place::Initializer, Place::Attribute, Place::Subgraph] {
        for location in ["secret.bin", "../state/secret.bin", absolute] {
            let bytes = external(place, location);
            let guests = load(&client, &bytes).await.unwrap_err();
            assert_eq!(guests.code, Code::InvalidEncoding, "{place:?} {guests}");
            assert!(guests.got.contains("\"weight\""), "{guests}");
            fs::write(&model, &bytes).unwrap();
            let operators = nnctl(&daemon, &["load", "outside", model_path]);
            assert_eq!(operators.code, Some(1), "{}", operators.stderr);
            assert!(
                operators.stderr.contains("external data"),
                "{}",
                operators.stderr
            );
        }
    }

    assert_eq!(read_at(&secret), before);
    assert!(!daemon.log().contains("worker="), "no worker was started");
    assert_eq!(daemon.models().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_a_guests_model_must_be_loaded_again() {
    let mut daemon = fake_daemon("");
    let client = daemon.client();
    let bytes = fake_echo(0, 0);
    let graph = load(&client, &bytes).await.unwrap();
    daemon.kill();
    daemon.restart();

    // The client notices the end of its session on its own; until then a call ends as lost.
    let end = std::time::Instant::now() + SOON;
    let fault = loop {
        let fault = echoes(&graph).await.unwrap_err();
        if fault.code == Code::NotFound || std::time::Instant::now() > end {
            break fault;
        }
    };
    assert_eq!(fault.code, Code::NotFound, "{fault}");
    assert!(fault.message.contains("from bytes"), "{fault}");
    assert!(fault.hint.contains("load it again"), "{fault}");
    assert_eq!(graph.try_reserve(4).unwrap_err().code, Code::NotFound);
    assert_eq!(daemon.models().len(), 0, "nothing of it was kept");

    let again = load(&client, &bytes).await.unwrap();
    assert!(echoes(&again).await.unwrap());
    drop(graph);
    assert!(echoes(&again).await.unwrap());
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}
