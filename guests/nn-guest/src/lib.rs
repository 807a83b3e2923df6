//! wasi-nn for guests: the generated bindings, and the little that every guest would write around them.
//!
//! A guest's whole life in five lines:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = nn_guest::load_by_name("mobilenet")?.open()?;
//! let input = nn_guest::tensor(&[1, 3], &[0.0_f32, 0.5, 1.0])?;
//! let outputs = context.compute(vec![("images".to_owned(), input)])?;
//! let probabilities = nn_guest::elements::<f32>(&outputs[0].1)?;
//! println!("{probabilities:?}");
//! # Ok(()) }
//! ```
//!
//! It holds no model's pre-processing and no cleverness: what the interface offers is what a guest gets.

mod bindings;
mod dtype;
mod element;
mod failure;
mod model;

pub use bindings::wasi::nn::errors::ErrorCode;
pub use bindings::wasi::nn::graph::{ExecutionTarget, GraphEncoding};
pub use bindings::wasi::nn::inference::NamedTensor;
pub use bindings::wasi::nn::tensor::{Tensor, TensorType};
pub use dtype::{ALL_TYPES, parse_type, type_name, type_size};
pub use element::{Element, TensorError, elements, tensor};
pub use failure::{Failure, code_name, describe};
pub use model::{Context, Model, load, load_by_name};
