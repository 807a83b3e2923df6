//! wasi-nn for guests: one small API over both of its interfaces.
//!
//! A guest asks its host for a model, gives it tensors, and gets tensors:
//!
//! ```no_run
//! use nn_guest::{Failure, Tensor, load_by_name};
//!
//! fn main() -> Result<(), Failure> {
//!     let input = Tensor::new(&[1, 3], &[0.0_f32, 0.5, 1.0])?;
//!     let outputs = load_by_name("foo")?.compute(&[input])?;
//!     println!("{:?}", outputs[0].to_vec::<f32>()?);
//!     Ok(())
//! }
//! ```
//!
//! A [`Model`] is kept for as many computes as there are; more than one at a time want a [`Context`] each. Whatever goes
//! wrong is a [`Failure`]: a [`Code`] to act on, and a text that says what was expected, what came, and what to do. Nothing here
//! panics, and nothing knows any model: a tensor has to have the numbers that its model wants.
//!
//! # The two interfaces
//!
//! A feature says which one the guest is built for; the code is the same. Exactly one may be on.
//!
//! | | `component`, the default | `core-module` |
//! |---|---|---|
//! | the host offers | `wasi:nn@0.2.0-rc-2024-10-28` | `wasi_ephemeral_nn`, as the crate `wasi-nn` 0.6 numbers it |
//! | inputs | by place or [by name](Tensor::named) | by place; a name is refused |
//! | element types | all of [`DType`] | all but bf16, as inputs |
//! | an output tells its | name, element type, dimensions | bytes: say the rest with [`Tensor::with_shape`] |
//! | a failure's text | the host's own | this crate's: the host tells a number |
//! | models and contexts | go when they are dropped | stay until the guest ends: make them once |
//! | the output of a first compute | is copied once | is looked for with a buffer that grows, up to 256 MiB |
//!
//! What the interfaces can do beyond that is in `component` and `core_module::ffi`.
//!
//! # Other features
//!
//! `ndarray`: `Tensor::from_array`, `Tensor::array`. `half`: `f16` and `bf16` as [`Element`]s; without it their tensors are made
//! [from bytes](Tensor::from_bytes).
//!
//! # Tests on your own machine
//!
//! Elsewhere than in WebAssembly all of this compiles, tensors work, and loading a model is an
//! [unsupported operation](Code::UnsupportedOperation).

#[cfg(feature = "ndarray")]
mod array;
#[cfg(feature = "component")]
pub mod component;
#[cfg(feature = "core-module")]
#[cfg_attr(
    feature = "component",
    expect(dead_code, reason = "both are on in tests only; one is used")
)]
pub mod core_module;
mod dtype;
#[macro_use]
mod element;
mod failure;
#[cfg(feature = "half")]
mod half_precision;
mod model;
mod outputs;
mod tensor;

#[cfg(feature = "component")]
use component as abi;
#[cfg(all(feature = "core-module", not(feature = "component")))]
use core_module as abi;

pub use dtype::DType;
pub use element::Element;
pub use failure::{Code, Failure, describe};
pub use model::{Context, Encoding, Model, Target, load, load_by_name};
pub use outputs::Outputs;
pub use tensor::Tensor;

#[cfg(all(target_arch = "wasm32", feature = "component", feature = "core-module"))]
compile_error!(
    "nn-guest's features `component` and `core-module` exclude each other: a core module wants `default-features = false`"
);
#[cfg(not(any(feature = "component", feature = "core-module")))]
compile_error!("nn-guest needs one of its features `component` and `core-module`");
