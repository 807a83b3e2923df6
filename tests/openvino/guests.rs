//! Guests that bring an IR: two parts in wasi-nn's encoding openvino, the XML and then the weights.

use std::fs;
use std::sync::Arc;

use nn_client::{Client, Format, Graph};
use nn_onnx_writer::{FLOAT, graph, model, node, value};
use nn_tensor::{Code, DType, Fault};
use nn_tests::{Daemon, available, compute_of, guest_wasm, nn_host_with, wait_until};

use super::scale::{self, floats};
use super::{PATIENCE, daemon, f32s, is_there};

fn ir(w: f32) -> [Vec<u8>; 2] {
    [scale::XML.as_bytes().to_vec(), scale::weights([w; 4])]
}

async fn scaled(graph: &Graph) -> Vec<f32> {
    let numbers = floats(&[1.0, 2.0, 3.0, 4.0]);
    let outputs = compute_of(graph, &[("x", DType::Fp32, &[4], &numbers)], None).await;
    f32s(&outputs.unwrap()[0])
}

async fn refused(client: &Client, format: Format, parts: &[Vec<u8>]) -> Fault {
    client.load(format, parts).await.map(|_| ()).unwrap_err()
}

#[test]
fn a_guest_of_either_abi_loads_an_ir_and_computes_with_it() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scale.xml"), scale::XML).unwrap();
    fs::write(
        folder.path().join("scale.bin"),
        scale::weights([2.0, 3.0, 4.0, 5.0]),
    )
    .unwrap();
    let dir = format!("{}::/m", folder.path().display());
    let run = |guest: &str, encoding: &str, input: &str| {
        let arguments = [
            "load-bytes",
            "/m/scale.xml,/m/scale.bin",
            encoding,
            "cpu",
            input,
        ];
        nn_host_with(&daemon, &["--dir", &dir], &guest_wasm(guest), &arguments).ok()
    };
    let component = run("wit-cases", "openvino", "x=fp32:4:1");
    let module = run("witx-cases", "openvino", "0=fp32:4:1");
    let detected = run("wit-cases", "autodetect", "x=fp32:4:1");
    let line = component.stdout.lines().last().unwrap_or_default();
    assert!(
        line.starts_with("ok y fp32 4 ") && line.ends_with(" 2,3,4,5"),
        "{component:?}"
    );
    let checksum = line.split(' ').nth(4).unwrap_or_default();
    assert!(
        module.stdout.ends_with(&format!("ok 0 16 {checksum}\n")),
        "{module:?}"
    );
    assert_eq!(component.stdout, detected.stdout);
    wait_until("nothing is left", PATIENCE, || daemon.workers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_ir_is_sent_once_and_runs_in_one_worker() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    let (one, other) = (daemon.client(), daemon.client());
    let first = one.load(Format::OpenVinoIr, &ir(2.0)).await.unwrap();
    let elsewhere = other.load(Format::Detect, &ir(2.0)).await.unwrap();
    let different = other.load(Format::OpenVinoIr, &ir(3.0)).await.unwrap();
    assert_eq!(daemon.workers().len(), 2, "one for each pair of files");
    assert_eq!((one.stats().uploads, other.stats().uploads), (1, 1));
    let answers: [Arc<Graph>; 3] = [first, elsewhere, different];
    let mut sums = Vec::new();
    for graph in &answers {
        sums.push(scaled(graph).await.iter().sum::<f32>());
    }
    assert_eq!(sums, [20.0, 20.0, 30.0]);
    let models = daemon.models();
    assert!(
        models
            .iter()
            .all(|model| model["source"] == "guest" && model["backend"] == "openvino"),
        "{models:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_ir_is_refused_with_what_was_expected() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    let client = daemon.client();
    let [xml, weights] = ir(2.0);
    let one = value::of("x", FLOAT, Some(&value::fixed(&[4])));
    let content = [
        graph::node(&node::of(&["x"], &["y"], "Relu")),
        graph::name("g"),
        graph::input(&one),
        graph::output(&value::of("y", FLOAT, Some(&value::fixed(&[4])))),
    ];
    let onnx = model::of(&content.concat(), 17);

    let alone = refused(&client, Format::OpenVinoIr, std::slice::from_ref(&xml)).await;
    assert_eq!(alone.code, Code::InvalidArgument, "{alone}");
    assert!(alone.expected.contains("two parts"), "{alone}");
    let turned = refused(&client, Format::OpenVinoIr, &[weights.clone(), xml.clone()]).await;
    let is_onnx = refused(&client, Format::OpenVinoIr, &[onnx, Vec::new()]).await;
    for fault in [&turned, &is_onnx] {
        assert_eq!(fault.code, Code::InvalidEncoding, "{fault}");
        assert!(fault.expected.contains("XML"), "{fault}");
    }
    let cut = refused(
        &client,
        Format::OpenVinoIr,
        &[xml.clone(), weights[..8].to_vec()],
    )
    .await;
    assert_eq!(cut.code, Code::InvalidEncoding, "{cut}");
    let as_onnx = refused(&client, Format::Onnx, &[xml]).await;
    assert_eq!(as_onnx.code, Code::InvalidEncoding, "{as_onnx}");
    assert!(daemon.workers().is_empty() && daemon.models().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_openvino_an_ir_is_refused_before_it_is_sent() {
    if !available() {
        return;
    }
    let daemon = Daemon::start();
    let client = daemon.client();
    let fault = refused(&client, Format::OpenVinoIr, &ir(2.0)).await;
    assert!(fault.message.contains("OpenVINO"), "{fault}");
    assert_eq!(client.stats().uploads, 0);
}
