//! Computes by the client library, and the model that takes as long as it is told.

use std::time::Duration;

use nn_client::{Client, Graph, Input, OutTensor};
use nn_tensor::{DType, Fault, Shape, TensorName};

use crate::daemon::Daemon;
use crate::paths::tiny_model;

/// What goes into a model: name, type, dimensions, bytes.
pub type Tensor<'a> = (&'a str, DType, &'a [u32], &'a [u8]);

/// A tensor in a slot of its own.
///
/// # Errors
/// When there is no slot for it.
///
/// # Panics
/// When it has a name or a shape that no tensor has.
pub async fn input(graph: &Graph, (name, dtype, dims, bytes): Tensor<'_>) -> Result<Input, Fault> {
    let len = u64::try_from(bytes.len()).expect("a length of 64 bits");
    let slot = graph.reserve(len).await?;
    slot.copy_from(bytes)?;
    Ok(Input {
        name: TensorName::new(name).expect("a tensor's name"),
        dtype,
        shape: Shape::new(dims).expect("a shape"),
        slot,
    })
}

/// One compute of a graph that one has.
///
/// # Errors
/// As the compute ends.
pub async fn compute_of(
    graph: &Graph,
    tensors: &[Tensor<'_>],
    timeout: Option<Duration>,
) -> Result<Vec<OutTensor>, Fault> {
    let mut inputs = Vec::new();
    for &tensor in tensors {
        inputs.push(input(graph, tensor).await?);
    }
    graph.compute(inputs, timeout).await
}

/// One compute of a model that is loaded.
///
/// # Errors
/// As the compute ends, or when there is no such model.
pub async fn compute(
    client: &Client,
    model: &str,
    tensors: &[Tensor<'_>],
    timeout: Option<Duration>,
) -> Result<Vec<OutTensor>, Fault> {
    compute_of(&*client.resolve(model).await?, tensors, timeout).await
}

/// A daemon with the model `slow`.
#[must_use]
pub fn slow_daemon() -> Daemon {
    let daemon = Daemon::start();
    daemon.load("slow", &tiny_model("slow-f32"));
    daemon
}

/// One run of `slow`: about 7 µs an iteration.
///
/// # Errors
/// As the compute ends.
pub async fn slow(
    client: &Client,
    iterations: i64,
    timeout: Option<Duration>,
) -> Result<Vec<OutTensor>, Fault> {
    let (iterations, value) = (iterations.to_le_bytes(), 1_f32.to_le_bytes());
    let tensors: [Tensor<'_>; 2] = [
        ("iterations", DType::I64, &[], &iterations),
        ("value", DType::Fp32, &[1], &value),
    ];
    compute(client, "slow", &tensors, timeout).await
}

/// Numbers for what takes a picture of 3 planes of 224 rows and columns, f32, of nothing in particular.
#[must_use]
pub fn picture() -> Vec<u8> {
    let number = |n: u32| f32::from(u8::try_from(n % 251).unwrap_or(0)) / 128.0 - 0.99;
    let numbers = (0..3 * 224 * 224).map(number);
    numbers.flat_map(f32::to_le_bytes).collect()
}
