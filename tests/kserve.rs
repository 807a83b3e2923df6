//! Clients of the Open Inference Protocol: each call, each way to fail, and that an inference of theirs is one like a
//! guest's: the same answer, the same bounds, and nothing left behind.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

#[path = "kserve/certificates.rs"]
mod certificates;
#[path = "kserve/client.rs"]
mod client;
#[path = "kserve/ends.rs"]
mod ends;
#[path = "kserve/limits.rs"]
mod limits;
#[path = "kserve/repository.rs"]
mod repository;
#[path = "kserve/stream.rs"]
mod stream;
#[path = "kserve/tcp.rs"]
mod tcp;
#[path = "kserve/tenants.rs"]
mod tenants;
#[path = "kserve/tls.rs"]
mod tls;
#[path = "kserve/triton.rs"]
mod triton;

use std::time::Duration;

use client::{connect, input, only, output, raw, typed};
use nn_proto::kserve::inference::infer_parameter::ParameterChoice;
use nn_proto::kserve::inference::{
    InferParameter, InferTensorContents, ModelConfigRequest, ModelInferRequest,
    ModelMetadataRequest, ModelReadyRequest, ModelStatisticsRequest, ServerLiveRequest,
    ServerMetadataRequest, ServerReadyRequest, SystemSharedMemoryRegisterRequest,
    TraceSettingRequest,
};
use nn_proto::kserve::{config_type, datatype};
use nn_tensor::DType;
use nn_tests::{
    Daemon, Reference, compute, model_file, nnctl, picture, require_backends, tiny_model,
};
use tonic::{Code, Status};

/// What a framework may need to look up, and a busy machine to come back to it.
const SOON: Duration = Duration::from_secs(10);

const MIB: usize = 1 << 20;

/// A daemon with one of the tiny models.
fn with(model: &str) -> Daemon {
    let daemon = Daemon::start();
    daemon.load(model, &tiny_model(model));
    daemon
}

/// What a status says, and that it says what to do about it.
fn said(status: &Status, code: Code, words: &[&str]) {
    assert_eq!(status.code(), code, "{status}");
    for word in words {
        assert!(status.message().contains(word), "{word:?}: {status}");
    }
    assert!(!status.message().contains('\n'), "{status}");
    assert!(status.details().is_empty(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_lives_is_ready_and_says_only_what_it_offers() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon).await;
    let live = client.server_live(ServerLiveRequest {}).await.unwrap();
    let ready = client.server_ready(ServerReadyRequest {}).await.unwrap();
    assert!(live.into_inner().live && ready.into_inner().ready);
    let told = client.server_metadata(ServerMetadataRequest {}).await;
    let told = told.unwrap().into_inner();
    assert_eq!(told.name, "nn-daemon");
    assert_eq!(
        told.extensions,
        ["model_repository", "statistics", "model_configuration"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_told_as_it_is() {
    require_backends!();
    let daemon = with("big-f32");
    daemon.load("big-f32", &tiny_model("big-f32"));
    let mut client = connect(&daemon).await;
    let request = |version: &str| ModelMetadataRequest {
        name: "big-f32".into(),
        version: version.into(),
    };
    let told = client.model_metadata(request("")).await.unwrap();
    let told = told.into_inner();
    assert_eq!(
        (told.name.as_str(), told.platform.as_str()),
        ("big-f32", "onnxruntime_onnx")
    );
    assert_eq!(told.versions, ["1", "2"]);
    let input = &told.inputs[0];
    assert_eq!(
        (input.name.as_str(), input.datatype.as_str()),
        ("input", "FP32")
    );
    assert_eq!(input.shape, [-1, 3, 1024, 1024]);
    let told = client.model_metadata(request("1")).await.unwrap();
    assert_eq!(told.into_inner().versions, ["1"]);

    let request = ModelConfigRequest {
        name: "big-f32".into(),
        version: String::new(),
    };
    let config = client.model_config(request).await.unwrap().into_inner();
    let config = config.config.unwrap();
    assert_eq!(
        (config.max_batch_size, config.backend.as_str()),
        (0, "onnxruntime")
    );
    assert_eq!(config.input[0].dims, [-1, 3, 1024, 1024]);
    assert_eq!(config.output[0].data_type(), config_type(DType::Fp32));
    assert_eq!(config.instance_group[0].count, 1);

    let is_ready = |name: &str, version: &str| {
        let mut client = client.clone();
        let (name, version) = (name.to_owned(), version.to_owned());
        async move {
            let request = ModelReadyRequest { name, version };
            client
                .model_ready(request)
                .await
                .map(|told| told.into_inner().ready)
        }
    };
    assert!(is_ready("big-f32", "").await.unwrap());
    assert!(is_ready("big-f32", "2").await.unwrap());
    assert!(!is_ready("big-f32", "3").await.unwrap());
    assert!(!is_ready("nothing", "").await.unwrap());
    assert!(is_ready("big-f32", "two").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_goes_through_unchanged_and_raw() {
    require_backends!();
    let daemon = Daemon::start();
    let mut client = connect(&daemon).await;
    for dtype in DType::ALL {
        let model = format!("identity-{dtype}");
        daemon.load(&model, &tiny_model(&model));
        let bytes: Vec<u8> = (0..dtype.size() * 5)
            .map(|n| u8::try_from(n * 7 % 64).unwrap())
            .collect();
        let request = ModelInferRequest {
            id: "seven".into(),
            ..raw(&model, "input", datatype(dtype), (&[5], bytes.clone()))
        };
        let answer = client.model_infer(request).await.unwrap().into_inner();
        assert_eq!(only(&answer), bytes, "{dtype}");
        assert_eq!(answer.outputs[0].datatype, datatype(dtype));
        assert_eq!(answer.outputs[0].shape, [5]);
        let names = (answer.model_name.as_str(), answer.model_version.as_str());
        assert_eq!(
            (names, answer.id.as_str()),
            ((model.as_str(), "1"), "seven")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elements_in_lists_are_computed_as_their_bytes_are() {
    require_backends!();
    let daemon = Daemon::start();
    let mut client = connect(&daemon).await;
    let contents = InferTensorContents::default;
    let lists = [
        (
            DType::U8,
            InferTensorContents {
                uint_contents: vec![0, 7, 255],
                ..contents()
            },
            vec![0, 7, 255],
        ),
        (
            DType::I32,
            InferTensorContents {
                int_contents: vec![-1, 0, 2],
                ..contents()
            },
            [-1_i32, 0, 2]
                .into_iter()
                .flat_map(i32::to_le_bytes)
                .collect(),
        ),
        (
            DType::I64,
            InferTensorContents {
                int64_contents: vec![i64::MIN, 0, 2],
                ..contents()
            },
            [i64::MIN, 0, 2]
                .into_iter()
                .flat_map(i64::to_le_bytes)
                .collect(),
        ),
        (
            DType::Fp32,
            InferTensorContents {
                fp32_contents: vec![0.5, -1.0, 3.0],
                ..contents()
            },
            [0.5_f32, -1.0, 3.0]
                .into_iter()
                .flat_map(f32::to_le_bytes)
                .collect(),
        ),
        (
            DType::Fp64,
            InferTensorContents {
                fp64_contents: vec![0.5, -1.0, 3.0],
                ..contents()
            },
            [0.5_f64, -1.0, 3.0]
                .into_iter()
                .flat_map(f64::to_le_bytes)
                .collect::<Vec<u8>>(),
        ),
    ];
    for (dtype, contents, bytes) in lists {
        let model = format!("identity-{dtype}");
        daemon.load(&model, &tiny_model(&model));
        let request = typed(&model, "input", datatype(dtype), (&[3], contents));
        let answer = client.model_infer(request).await.unwrap().into_inner();
        assert_eq!(only(&answer), bytes, "{dtype}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_answered_as_onnx_runtime_alone_does_to_the_bit() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let mut client = connect(&daemon).await;
    let picture = picture();
    let numbers = picture
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    let mut reference = Reference::load(&model_file("efficientnet-lite0"));
    let expected = reference.run_f32(&[1, 3, 224, 224], numbers.collect());
    let request = raw(
        "efficientnet-lite0",
        "images",
        "FP32",
        (&[1, 3, 224, 224], picture),
    );
    let answer = client.model_infer(request).await.unwrap().into_inner();
    assert!(only(&answer) == expected, "the answers differ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tensors_of_twelve_and_of_sixty_mib_come_back_whole() {
    require_backends!();
    let daemon = with("big-f32");
    let mut client = connect(&daemon).await;
    for pictures in [1, 5] {
        let bytes: Vec<u8> = (0..pictures * 12 * MIB)
            .map(|n| u8::try_from(n % 61).unwrap())
            .collect();
        let shape = [i64::try_from(pictures).unwrap(), 3, 1024, 1024];
        let request = raw("big-f32", "input", "FP32", (&shape, bytes.clone()));
        let answer = client.model_infer(request).await.unwrap().into_inner();
        assert!(only(&answer) == bytes, "{pictures} came back changed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mib_come_back_whole() {
    require_backends!();
    let daemon = with("identity-u8");
    let mut client = connect(&daemon).await;
    let bytes: Vec<u8> = (0..64 * MIB)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect();
    let shape = [i64::try_from(bytes.len()).unwrap()];
    for _ in 0..2 {
        let request = raw("identity-u8", "input", "UINT8", (&shape, bytes.clone()));
        let answer = client.model_infer(request).await.unwrap().into_inner();
        assert!(only(&answer) == bytes, "64 MiB came back changed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_are_those_that_are_asked_for() {
    require_backends!();
    let daemon = with("two-outputs");
    let mut client = connect(&daemon).await;
    let bytes: Vec<u8> = [1_f32, 2.0]
        .into_iter()
        .flat_map(f32::to_le_bytes)
        .collect();
    let asked = |names: &[&str]| ModelInferRequest {
        outputs: names.iter().map(|name| output(name)).collect(),
        ..raw("two-outputs", "input", "FP32", (&[2], bytes.clone()))
    };
    let both = client.model_infer(asked(&[])).await.unwrap().into_inner();
    assert_eq!(both.raw_output_contents.len(), 2);
    let total = client.model_infer(asked(&["total"])).await.unwrap();
    let total = total.into_inner();
    assert_eq!(total.outputs[0].name, "total");
    assert_eq!(only(&total), 3_f32.to_le_bytes());
    let status = client.model_infer(asked(&["totals"])).await.unwrap_err();
    said(
        &status,
        Code::InvalidArgument,
        &["negated, total", "output-unknown"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_explained() {
    require_backends!();
    let daemon = with("identity-fp32");
    let mut client = connect(&daemon).await;
    let good = || raw("identity-fp32", "input", "FP32", (&[1], vec![0; 4]));
    let one = |name: &str, datatype: &str, shape: &[i64], bytes: usize| {
        raw("identity-fp32", name, datatype, (shape, vec![0; bytes]))
    };
    let unknown = ModelInferRequest {
        model_name: "nothing".into(),
        ..good()
    };
    let version = ModelInferRequest {
        model_version: "9".into(),
        ..good()
    };
    let twice = ModelInferRequest {
        model_name: "identity-fp32@1".into(),
        model_version: "1".into(),
        ..good()
    };
    let mut both = good();
    both.inputs[0].contents = Some(InferTensorContents::default());
    let mut memory = good();
    let parameter = InferParameter {
        parameter_choice: Some(ParameterChoice::StringParam("region".into())),
    };
    memory.inputs[0]
        .parameters
        .insert("shared_memory_region".into(), parameter);
    let missing = ModelInferRequest {
        inputs: Vec::new(),
        raw_input_contents: Vec::new(),
        ..good()
    };
    let strings = InferTensorContents {
        bytes_contents: vec![b"text".to_vec()],
        ..InferTensorContents::default()
    };
    let strings = typed("identity-fp32", "input", "BYTES", (&[1], strings));
    let invalid = Code::InvalidArgument;
    let wrongs = [
        (unknown, Code::NotFound, "there is no model nothing"),
        (version, Code::NotFound, "there is no model identity-fp32@9"),
        (twice, invalid, "named twice"),
        (
            one("inputs", "FP32", &[1], 4),
            invalid,
            "did you mean input?",
        ),
        (one("input", "FP64", &[1], 8), invalid, "input-dtype"),
        (one("input", "FP32", &[1, 1], 4), invalid, "input-rank"),
        (one("input", "FP32", &[2], 4), invalid, "expected: 8 bytes"),
        (one("input", "FP32", &[-1], 4), invalid, "tensor-size"),
        (one("input", "INT8", &[4], 4), invalid, "type-unserved"),
        (one("input", "BOOL", &[4], 4), invalid, "UINT8"),
        (both, invalid, "contents-wrong"),
        (missing, invalid, "input-missing"),
        (strings, invalid, "type-unserved"),
        (memory, Code::Unimplemented, "another's memory"),
    ];
    for (request, code, word) in wrongs {
        let status = client.model_infer(request).await.unwrap_err();
        said(&status, code, &[word, "hint: ", "reason: "]);
    }
    client.model_infer(good()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_offered_says_why() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon).await;
    let request = SystemSharedMemoryRegisterRequest {
        key: "/x".into(),
        ..SystemSharedMemoryRegisterRequest::default()
    };
    let status = client.system_shared_memory_register(request).await;
    said(
        &status.unwrap_err(),
        Code::Unimplemented,
        &["another's memory"],
    );
    let status = client.trace_setting(TraceSettingRequest::default()).await;
    said(
        &status.unwrap_err(),
        Code::Unimplemented,
        &["call-unoffered"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_count_what_was_computed_and_what_failed() {
    require_backends!();
    let daemon = with("identity-fp32");
    let mut client = connect(&daemon).await;
    for _ in 0..3 {
        let request = raw("identity-fp32", "input", "FP32", (&[1], vec![0; 4]));
        client.model_infer(request).await.unwrap();
    }
    // A guest's is one more, though nobody copies its input here.
    let guest = daemon.client();
    let tensors = [("input", DType::Fp32, &[1][..], &[0; 4][..])];
    let computed = compute(&guest, "identity-fp32", &tensors, None).await;
    computed.unwrap();
    let request = ModelStatisticsRequest {
        name: "identity-fp32".into(),
        version: "1".into(),
    };
    let told = client.model_statistics(request).await.unwrap().into_inner();
    let stats = &told.model_stats[0];
    assert_eq!((stats.inference_count, stats.execution_count), (4, 4));
    assert!(stats.last_inference > 0);
    let parts = stats.inference_stats.as_ref().unwrap();
    let counted = [
        &parts.success,
        &parts.queue,
        &parts.compute_infer,
        &parts.compute_input,
        &parts.compute_output,
    ]
    .map(|of| of.as_ref().unwrap());
    assert_eq!(counted.map(|of| of.count), [4; 5]);
    let [success, queue, infer, ..] = counted;
    assert!(
        success.ns >= queue.ns + infer.ns && infer.ns > 0,
        "{parts:?}"
    );
    assert_eq!(parts.fail.as_ref().unwrap().count, 0);
    let all = client
        .model_statistics(ModelStatisticsRequest::default())
        .await;
    assert_eq!(all.unwrap().into_inner().model_stats.len(), 1);
    // Of a guest's inputs the daemon sees no copy.
    let metrics = tokio::task::block_in_place(|| nnctl(&daemon, &["metrics"]).stdout);
    let counted = |stage: &str| {
        let labels = format!("{{model=\"identity-fp32\",version=\"1\",stage=\"{stage}\"}}");
        let name = format!("nn_model_compute_stage_duration_seconds_count{labels} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap().parse::<f64>().unwrap()
    };
    assert_eq!([counted("copy"), counted("run")], [3.0, 4.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_once_are_each_answered_their_own() {
    require_backends!();
    let daemon = with("echo-f32");
    let client = connect(&daemon).await;
    let calls = (0..100_u16).map(|n| {
        let mut client = client.clone();
        let bytes: Vec<u8> = f32::from(n).to_le_bytes().repeat(1000);
        let request = raw("echo-f32", "input", "FP32", (&[1000], bytes.clone()));
        tokio::spawn(async move {
            let answer = client.model_infer(request).await.unwrap().into_inner();
            assert!(only(&answer) == bytes, "{n} was answered another's");
        })
    });
    let calls: Vec<_> = calls.collect();
    for call in calls {
        call.await.unwrap();
    }
    let sessions = daemon.status()["sessions"].as_array().unwrap().len();
    assert_eq!(sessions, 1, "one connection is one session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_without_elements_goes_through() {
    require_backends!();
    let daemon = with("identity-fp32");
    let mut client = connect(&daemon).await;
    let request = ModelInferRequest {
        model_name: "identity-fp32".into(),
        inputs: vec![input("input", "FP32", &[0])],
        ..ModelInferRequest::default()
    };
    let answer = client.model_infer(request).await.unwrap().into_inner();
    assert_eq!((only(&answer).len(), answer.outputs[0].shape[0]), (0, 0));
}
