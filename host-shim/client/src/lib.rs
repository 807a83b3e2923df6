//! The client of nn-daemon: a session, the arenas that tensors lie in, one compute. It knows neither
//! wasmtime nor any command line; the shim, the operator's tool and the tests all stand on it.
//!
//! ```no_run
//! # async fn example() -> Result<(), nn_tensor::Fault> {
//! use nn_client::{Client, Input, socket_path};
//! use nn_tensor::{DType, Shape, Tenant, TensorName};
//!
//! let client = Client::new(socket_path(None), Tenant::default());
//! let graph = client.resolve("foo").await?;
//! let slot = graph.reserve(12).await?;
//! slot.copy_from(&[0; 12])?;
//! let input = Input {
//!     name: TensorName::new("x")?,
//!     dtype: DType::Fp32,
//!     shape: Shape::new(&[1, 3]).expect("rank 2"),
//!     slot,
//! };
//! for output in graph.compute(vec![input], None).await? {
//!     println!("{}: {} bytes", output.name, output.slot.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What it promises:
//! - One copy into shared memory and one out of it ([`Stats`] counts them); nothing else touches the bytes.
//! - A slot belongs to the job: dropping a future sends a cancel, and the slots of its inputs are free
//!   only once the daemon's answer has come.
//! - Every wait has a bound. A lost connection ends what is in flight in a typed [`Fault`] at once,
//!   and the next call connects anew. A compute that may have begun is never sent twice.
//! - A daemon that is started anew is waited for ([`ClientBuilder::wait`]). One that ends in order answers what it
//!   has begun; calls that it has not begun go to the next one by themselves.
//!
//! [`Fault`]: nn_tensor::Fault

mod arena;
mod client;
mod connect;
mod fault;
mod graph;
mod session;
mod stats;
mod sync;

pub use arena::{ExposedSlot, InSlot, OutSlot};
pub use client::{Client, ClientBuilder};
pub use connect::{ConnectError, channel, socket_path};
pub use fault::status_to_fault;
pub use graph::{Graph, Input};
#[cfg(any(test, fuzzing))]
pub use session::fuzzing;
pub use session::{Format, OutTensor};
pub use stats::Stats;
