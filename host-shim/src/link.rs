//! Joins the interface to a linker.

use wasmtime::component::Linker;

use crate::bindings::wasi::nn;
use crate::ctx::{HasNn, WasiNnView};
use crate::host;

/// Offers `wasi:nn@0.2.0-rc-2024-10-28` to every component that this linker instantiates. The engine must
/// allow async host functions, which is wasmtime's default; guests are then to be called by `*_async`.
///
/// Fails where the linker already defines one of the interfaces.
pub fn add_to_linker<T: WasiNnView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    nn::inference::add_to_linker::<T, HasNn>(linker, T::nn)?;
    nn::errors::add_to_linker::<T, HasNn>(linker, T::nn)?;
    host::add_graph_to_linker(linker)?;
    host::add_tensor_to_linker(linker)
}
