//! What is done to a daemon until it answers with a fault.

use std::path::Path;
use std::time::Duration;

use nn_client::{Client, Format, Input};
use nn_tensor::{DType, Fault, Tenant};
use nn_tests::{
    Daemon, Tensor, compute, compute_of, fake_model, input, kill, nnctl, slow, stop, tiny_model,
    until_computing,
};

const ONE: Duration = Duration::from_millis(100);

/// For a worker to take up what it is given.
const SOON: Duration = Duration::from_secs(10);

fn client_of(daemon: &Daemon, tenant: &str) -> Client {
    Client::new(daemon.socket(), tenant.parse::<Tenant>().unwrap())
}

pub(crate) async fn nobody(daemon: &Daemon) -> Fault {
    let elsewhere = daemon.socket().with_file_name("nobody.sock");
    let client = Client::builder(elsewhere, Tenant::default())
        .wait(ONE)
        .build();
    client.resolve("echo-f32").await.err().unwrap()
}

pub(crate) async fn stranger(daemon: &Daemon) -> Fault {
    let client = client_of(daemon, "stranger");
    client.resolve("echo-f32").await.err().unwrap()
}

pub(crate) async fn another_session(daemon: &Daemon) -> Fault {
    let (one, other) = (daemon.client(), daemon.client());
    let _held = one.resolve("echo-f32").await.unwrap();
    other.resolve("echo-f32").await.err().unwrap()
}

pub(crate) async fn another_graph(daemon: &Daemon) -> Fault {
    daemon.load("other", &tiny_model("add-f32"));
    let client = daemon.client();
    let _held = client.resolve("echo-f32").await.unwrap();
    client.resolve("other").await.err().unwrap()
}

pub(crate) async fn large(daemon: &Daemon) -> Fault {
    let graph = daemon.client().resolve("echo-f32").await.unwrap();
    graph.reserve(2 << 20).await.err().unwrap()
}

pub(crate) async fn hoard(daemon: &Daemon) -> Fault {
    let graph = daemon.client().resolve("echo-f32").await.unwrap();
    let mut held = Vec::new();
    loop {
        match graph.reserve(1 << 20).await {
            Ok(slot) => held.push(slot),
            Err(fault) => return fault,
        }
    }
}

pub(crate) async fn many(daemon: &Daemon) -> Fault {
    let graph = daemon.client().resolve("echo-f32").await.unwrap();
    let mut inputs: Vec<Input> = Vec::new();
    for _ in 0..129 {
        let tensor: Tensor<'_> = ("input", DType::Fp32, &[1], &[0; 4]);
        inputs.push(input(&graph, tensor).await.unwrap());
    }
    graph.compute(inputs, None).await.err().unwrap()
}

async fn load(client: &Client, model: &Path) -> Result<(), Fault> {
    let bytes = std::fs::read(model).unwrap();
    client.load(Format::Onnx, &[bytes]).await.map(drop)
}

pub(crate) async fn one_model(daemon: &Daemon) -> Fault {
    let client = daemon.client();
    load(&client, &tiny_model("add-f32")).await.err().unwrap()
}

pub(crate) async fn two_models(daemon: &Daemon) -> Fault {
    let client = daemon.client();
    let bytes = std::fs::read(tiny_model("echo-f32")).unwrap();
    let _held = client.load(Format::Onnx, &[bytes]).await.unwrap();
    load(&client, &tiny_model("add-f32")).await.err().unwrap()
}

pub(crate) async fn beside_a_pinned_one(daemon: &Daemon) -> Fault {
    let pinned = nnctl(daemon, &["pin", "echo-f32"]);
    assert_eq!(pinned.code, Some(0), "{pinned:?}");
    one_model(daemon).await
}

/// Longer than anything here waits, if nobody stops it.
const LONG: i64 = 10_000_000;

/// Starts a slow compute and returns when a worker has it.
async fn occupy(daemon: &Daemon, client: &Client) {
    let client = client.clone();
    tokio::spawn(async move { slow(&client, LONG, None).await.map(drop) });
    until_computing(daemon, SOON).await;
}

pub(crate) async fn beside_a_slow_one(daemon: &Daemon) -> Fault {
    let client = daemon.client();
    occupy(daemon, &client).await;
    slow(&client, 1, None).await.err().unwrap()
}

pub(crate) async fn short(daemon: &Daemon) -> Fault {
    let client = daemon.client();
    slow(&client, 1, None).await.unwrap();
    slow(&client, LONG, Some(ONE)).await.err().unwrap()
}

pub(crate) async fn behind_a_slow_one(daemon: &Daemon) -> Fault {
    let client = daemon.client();
    occupy(daemon, &client).await;
    slow(&client, 1, Some(ONE)).await.err().unwrap()
}

pub(crate) async fn stopped(daemon: &Daemon) -> Fault {
    let graph = daemon.client().resolve("echo-f32").await.unwrap();
    let tensor: Tensor<'_> = ("input", DType::Fp32, &[1], &[0; 4]);
    compute_of(&graph, &[tensor], None).await.unwrap();
    stop(daemon.pid());
    let fault = compute_of(&graph, &[tensor], Some(ONE))
        .await
        .err()
        .unwrap();
    kill(daemon.pid());
    fault
}

pub(crate) async fn deaf(daemon: &Daemon) -> Fault {
    let ms = 60_000_i64.to_le_bytes();
    let tensors = [("ms", DType::I64, &[][..], &ms[..])];
    let client = daemon.client();
    compute(&client, "deaf", &tensors, Some(ONE))
        .await
        .err()
        .unwrap()
}

pub(crate) async fn crash(daemon: &Daemon) -> Fault {
    let how = 1_i64.to_le_bytes();
    let tensors = [("how", DType::I64, &[][..], &how[..])];
    let client = daemon.client();
    compute(&client, "crash", &tensors, None)
        .await
        .err()
        .unwrap()
}

pub(crate) async fn crash_again(daemon: &Daemon) -> Fault {
    for _ in 0..3 {
        crash(daemon).await;
    }
    crash(daemon).await
}

pub(crate) async fn broken(daemon: &Daemon) -> Fault {
    let client = daemon.client();
    load(&client, &fake_model("broken")).await.err().unwrap()
}
