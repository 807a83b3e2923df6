//! The jail as the daemon uses it: how ends of workers are told apart, what a worker does outside its memory,
//! what happens where a layer is missing, who may run it, and that honest work never meets its walls.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

#[path = "sandbox/attested.rs"]
mod attested;
#[path = "sandbox/degraded.rs"]
mod degraded;
#[path = "sandbox/ends.rs"]
mod ends;
#[path = "sandbox/honest.rs"]
mod honest;
#[path = "sandbox/own.rs"]
mod own;
// By the registers of one architecture.
#[cfg(target_arch = "x86_64")]
#[path = "sandbox/quiet.rs"]
mod quiet;
#[cfg(target_arch = "x86_64")]
#[path = "sandbox/tracer.rs"]
mod tracer;
#[path = "sandbox/unprivileged.rs"]
mod unprivileged;

use nn_client::{Client, OutTensor};
use nn_tensor::{DType, Fault};
use nn_tests::{Daemon, Tensor, nnctl};

/// One compute.
async fn compute(
    client: &Client,
    model: &str,
    tensors: &[Tensor<'_>],
) -> Result<Vec<OutTensor>, Fault> {
    nn_tests::compute(client, model, tensors, None).await
}

/// EfficientNet sees a black picture.
async fn classify(client: &Client, model: &str) {
    let picture = vec![0_u8; 3 * 224 * 224 * 4];
    let images = (
        "images",
        DType::Fp32,
        [1, 3, 224, 224].as_slice(),
        picture.as_slice(),
    );
    compute(client, model, &[images]).await.unwrap();
}

/// `c = a + b` of one number each.
async fn add(client: &Client) -> Result<f32, Fault> {
    let one = 1_f32.to_le_bytes();
    let two = 2_f32.to_le_bytes();
    let inputs = [
        ("a", DType::Fp32, [1].as_slice(), one.as_slice()),
        ("b", DType::Fp32, &[1], &two),
    ];
    let outputs = compute(client, "add", &inputs).await?;
    let mut sum = [0; 4];
    outputs[0].slot.copy_to(&mut sum)?;
    Ok(f32::from_le_bytes(sum))
}

/// Whether this test runs as root.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
