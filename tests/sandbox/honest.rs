//! Honest work never meets the walls.

use nn_tests::{require_backends, soak_rounds, tiny_model};

use super::*;

/// Calls of the tiny model and of each real one, in a soak's round of 1.
const TINY: u32 = 1_000;
const REAL: u32 = 10;

/// Soaked, 100 rounds are 100,000 calls of the tiny model and 1,000 of each real one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_inferences_are_never_violations() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    daemon.load("add", &tiny_model("add-f32"));
    let client = daemon.client();
    let tokens = [101_i64, 2_158, 102].map(i64::to_le_bytes).concat();
    let ones = [1_i64; 3].map(i64::to_le_bytes).concat();
    let zeros = [0_i64; 3].map(i64::to_le_bytes).concat();
    let ids: [Tensor<'_>; 3] = [
        ("input_ids", DType::I64, &[1, 3], &tokens),
        ("attention_mask", DType::I64, &[1, 3], &ones),
        ("token_type_ids", DType::I64, &[1, 3], &zeros),
    ];
    let silence = vec![0; 4 * 576];
    let frame: [Tensor<'_>; 2] = [
        ("input", DType::Fp32, &[1, 576], &silence),
        ("state", DType::Fp32, &[2, 1, 128], &silence[..4 * 256]),
    ];
    let grey = vec![0; 4 * 3 * 224 * 224];
    let page: [Tensor<'_>; 1] = [("x", DType::Fp32, &[1, 3, 224, 224], &grey)];
    let rounds = soak_rounds(1);
    for _ in 0..rounds {
        for _ in 0..TINY {
            assert_eq!(add(&client).await, Ok(3.0));
        }
        for _ in 0..REAL {
            classify(&client, "efficientnet-lite0").await;
            compute(&client, "minilm-l6-int8", &ids).await.unwrap();
            compute(&client, "silero-vad", &frame).await.unwrap();
            compute(&client, "page-orientation", &page).await.unwrap();
        }
    }
    let calls = (rounds * TINY, rounds * REAL);
    println!(
        "{} calls of the tiny model, {} of each real one",
        calls.0, calls.1
    );
    assert_eq!(daemon.ended("violation"), 0);
    assert_eq!(daemon.workers().len(), 5);
    drop(client);
    nnctl(&daemon, &["unload", "add"]).success();
    assert_eq!(daemon.ended("violation"), 0);
}

/// Threads of the framework are there before the filter, and end with the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_with_many_threads_start_compute_and_end_without_a_violation() {
    require_backends!();
    let daemon = Daemon::builder().with_threads(8).with_real_models().start();
    let client = daemon.client();
    for _ in 0..20 {
        classify(&client, "efficientnet-lite0").await;
    }
    drop(client);
    nnctl(&daemon, &["unload", "efficientnet-lite0"]).success();
    assert_eq!(daemon.ended("violation"), 0);
}
