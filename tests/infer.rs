//! Right answers: every dtype, shape and kind of output, by a client over shared memory, to the bit
//! against ONNX Runtime alone.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::time::Duration;

use nn_client::{Client, OutTensor};
use nn_tensor::{Code, DType};
use nn_tests::{
    Daemon, ProcState, Reference, Tensor, model_file, nnctl, require_backends, tiny_model,
    wait_until,
};

const SOON: Duration = Duration::from_secs(5);

const EFFICIENTNET: [u32; 4] = [1, 3, 224, 224];

/// Pseudo-random but fixed values in [-1, 1).
fn values(count: usize) -> Vec<f32> {
    let mut state = 0x2545_f491_u32;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        f32::from(u16::try_from(state >> 16).unwrap()) / 32768.0 - 1.0
    };
    (0..count).map(step).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// One compute, which is to succeed.
async fn compute(client: &Client, model: &str, tensors: &[Tensor<'_>]) -> Vec<OutTensor> {
    let outputs = nn_tests::compute(client, model, tensors, None).await;
    outputs.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn efficientnet_answers_as_onnx_runtime_alone_does_to_the_bit() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let image = values(3 * 224 * 224);
    let expected =
        Reference::load(&model_file("efficientnet-lite0")).run_f32(&EFFICIENTNET, image.clone());

    let client = daemon.client();
    let input = bytes(&image);
    let inputs = [(
        "images",
        DType::Fp32,
        EFFICIENTNET.as_slice(),
        input.as_slice(),
    )];
    let outputs = compute(&client, "efficientnet-lite0", &inputs).await;

    assert_eq!(outputs[0].shape.dims(), [1, 1000]);
    assert!(
        outputs[0].slot.to_vec().unwrap() == expected,
        "the answers differ"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_is_copied_once_in_and_once_out() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("echo", &tiny_model("picture-f32"));
    let client = daemon.client();
    let input = bytes(&values(3 * 224 * 224));

    let inputs = [(
        "input",
        DType::Fp32,
        EFFICIENTNET.as_slice(),
        input.as_slice(),
    )];
    let outputs = compute(&client, "echo", &inputs).await;
    let answer = outputs[0].slot.to_vec().unwrap();

    let stats = client.stats();
    assert!(answer == input, "the bytes differ");
    assert_eq!(
        (stats.copies, stats.bytes_copied_in, stats.bytes_copied_out),
        (2, 602_112, 602_112)
    );
    // What a worker says when it leaves: the framework read and wrote the slots themselves.
    nnctl(&daemon, &["unload", "echo"]).success();
    let nothing = "1 jobs; 0 bytes of inputs copied, 0 of outputs";
    wait_until("the worker has left", SOON, || {
        daemon.log().contains(nothing)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dtype_goes_through_unchanged() {
    require_backends!();
    let daemon = Daemon::start();
    let client = daemon.client();
    for dtype in DType::ALL {
        let model = format!("identity-{dtype}");
        daemon.load(&model, &tiny_model(&model));
        let input: Vec<u8> = (0..dtype.size() * 5)
            .map(|n| u8::try_from(n * 7 % 64).unwrap())
            .collect();
        let outputs = compute(&client, &model, &[("input", dtype, &[5], &input)]).await;
        assert_eq!(
            (outputs[0].dtype, outputs[0].shape.dims()),
            (dtype, [5].as_slice())
        );
        assert_eq!(outputs[0].slot.to_vec().unwrap(), input, "{dtype}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tensor_without_elements_goes_through() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("echo", &tiny_model("identity-fp32"));
    let outputs = compute(
        &daemon.client(),
        "echo",
        &[("input", DType::Fp32, &[0], &[])],
    )
    .await;
    assert_eq!(
        (outputs[0].shape.dims(), outputs[0].slot.len()),
        ([0].as_slice(), 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scalar_may_be_written_with_and_without_a_dimension() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("negate", &tiny_model("scalar"));
    let (client, three) = (daemon.client(), 3_f32.to_le_bytes());
    let bare = compute(&client, "negate", &[("input", DType::Fp32, &[], &three)]).await;
    let wrapped = compute(&client, "negate", &[("input", DType::Fp32, &[1], &three)]).await;
    let minus_three = (-3_f32).to_le_bytes();
    assert_eq!(bare[0].slot.to_vec().unwrap(), minus_three);
    assert_eq!(wrapped[0].slot.to_vec().unwrap(), minus_three);
    assert_eq!((bare[0].shape.rank(), wrapped[0].shape.rank()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_outputs_come_in_the_models_order() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("two", &tiny_model("two-outputs"));
    let input = bytes(&[1.0, 2.0, 4.0]);
    let outputs = compute(&daemon.client(), "two", &[("0", DType::Fp32, &[3], &input)]).await;
    let named: Vec<(&str, Vec<u8>)> = outputs
        .iter()
        .map(|o| (o.name.as_str(), o.slot.to_vec().unwrap()))
        .collect();
    assert_eq!(
        named,
        [
            ("negated", bytes(&[-1.0, -2.0, -4.0])),
            ("total", bytes(&[7.0]))
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_is_an_input_comes_as_it_went_in() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("through", &tiny_model("pass-through"));
    let input = bytes(&[5.0, 7.0]);
    let outputs = compute(
        &daemon.client(),
        "through",
        &[("input", DType::Fp32, &[2], &input)],
    )
    .await;
    let answers: Vec<Vec<u8>> = outputs.iter().map(|o| o.slot.to_vec().unwrap()).collect();
    assert_eq!(answers, [bytes(&[-5.0, -7.0]), input]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_beyond_the_largest_tensor_is_too_large_and_not_busy() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_limits("tensor_bytes_max = 65536\nsegment_bytes = 65536")
        .start();
    daemon.load("nonzero", &tiny_model("split-dynamic"));
    let client = daemon.client();
    // As many bytes in as are allowed; an index of 8 bytes for each element of 4 comes out.
    let input = bytes(&vec![1.0; 16_384]);
    let input = ("input", DType::Fp32, [16_384].as_slice(), input.as_slice());
    let answer = nn_tests::compute(&client, "nonzero", &[input], None).await;
    assert_eq!(answer.unwrap_err().code, Code::TooLarge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_whose_size_depends_on_the_data_comes_whole() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("nonzero", &tiny_model("split-dynamic"));
    let input = bytes(&[0.0, 5.0, 0.0, 7.0, 9.0]);
    let outputs = compute(
        &daemon.client(),
        "nonzero",
        &[("input", DType::Fp32, &[5], &input)],
    )
    .await;
    let indices: Vec<u8> = [1_i64, 3, 4]
        .iter()
        .flat_map(|index| index.to_le_bytes())
        .collect();
    assert_eq!(outputs[0].shape.dims(), [1, 3]);
    assert_eq!(outputs[0].slot.to_vec().unwrap(), indices);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tensor_larger_than_a_segment_gets_one_of_its_own() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("big", &tiny_model("big-f32"));
    let input = bytes(&values(3 << 20));
    let dims = [1, 3, 1024, 1024];
    let outputs = compute(
        &daemon.client(),
        "big",
        &[("input", DType::Fp32, &dims, &input)],
    )
    .await;
    assert!(
        outputs[0].slot.to_vec().unwrap() == input,
        "the bytes differ"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_outputs_stay_as_they_were_while_others_come() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("echo", &tiny_model("identity-fp32"));
    let client = daemon.client();
    let mut held = Vec::new();
    for round in 0..40_u8 {
        let input = bytes(&vec![f32::from(round); 50_000]);
        let inputs = [("input", DType::Fp32, [50_000].as_slice(), input.as_slice())];
        held.push((input.clone(), compute(&client, "echo", &inputs).await));
    }
    let changed = held
        .iter()
        .filter(|(input, o)| o[0].slot.to_vec().unwrap() != *input)
        .count();
    assert_eq!(changed, 0);
    assert_eq!(client.stats().out_slots, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_that_a_burst_needed_go_back_when_they_are_idle() {
    require_backends!();
    let daemon = Daemon::builder().with_limits("idle_ms = 100").start();
    daemon.load("big", &tiny_model("big-f32"));
    let client = daemon.client();
    let input = bytes(&values(3 << 20));
    let inputs = [(
        "input",
        DType::Fp32,
        [1, 3, 1024, 1024].as_slice(),
        input.as_slice(),
    )];
    let burst = [
        compute(&client, "big", &inputs).await,
        compute(&client, "big", &inputs).await,
    ];
    let worker = daemon.workers()[0];
    let maps = || ProcState::of(worker).unwrap().arena_maps;
    let needed = maps();

    drop(burst);

    // The first input segment was too small to be used, and of the outputs' one stays.
    wait_until("idle segments are unmapped", SOON, || maps() <= 1);
    assert_eq!(maps(), 1);
    assert!(needed >= 4, "{needed}");
    let again = compute(&client, "big", &inputs).await;
    assert!(again[0].slot.to_vec().unwrap() == input, "the bytes differ");
}
