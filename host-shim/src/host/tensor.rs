//! Tensors. The interface is linked by hand: a list comes as an offset into the guest's memory and goes
//! from there into a slot by one copy, and back the same way.
//!
//! The constructor cannot fail. A tensor that is no tensor (its length is not that of its shape) is kept as
//! it came and refused by `compute`; one beyond the guest's ceilings keeps nothing but the reason.

use std::sync::Arc;

use nn_client::{Graph, Input};
use nn_tensor::{DType, Fault, RANK_MAX, Reason, Shape, TensorName};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType, WasmList};

use crate::arena::{Body, room};
use crate::bindings::wasi::nn::tensor::TensorType;
use crate::ctx::{WasiNnCtx, WasiNnView};
use crate::limits::TensorHeld;

const INTERFACE: &str = "wasi:nn/tensor@0.2.0-rc-2024-10-28";

/// A tensor, held by a guest.
#[derive(Debug)]
pub struct Tensor {
    dims: Box<[u32]>,
    dtype: DType,
    body: Body,
    /// `None` for one that keeps nothing.
    _held: Option<TensorHeld>,
}

/// What is to become of a tensor that a guest makes.
enum Plan {
    /// Into this graph's arena, if there is room.
    Arena(TensorHeld, Arc<Graph>),
    /// Onto the heap.
    Heap(TensorHeld),
    /// Nothing is kept.
    Refuse(Fault),
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn dtype(ty: TensorType) -> DType {
    match ty {
        TensorType::Fp16 => DType::Fp16,
        TensorType::Fp32 => DType::Fp32,
        TensorType::Fp64 => DType::Fp64,
        TensorType::Bf16 => DType::Bf16,
        TensorType::U8 => DType::U8,
        TensorType::I32 => DType::I32,
        TensorType::I64 => DType::I64,
    }
}

fn tensor_type(dtype: DType) -> TensorType {
    match dtype {
        DType::Fp16 => TensorType::Fp16,
        DType::Fp32 => TensorType::Fp32,
        DType::Fp64 => TensorType::Fp64,
        DType::Bf16 => TensorType::Bf16,
        DType::U8 => TensorType::U8,
        DType::I32 => TensorType::I32,
        DType::I64 => TensorType::I64,
    }
}

/// The shape that dimensions and a length make together.
fn check(dims: &[u32], dtype: DType, len: u64) -> Result<Shape, Fault> {
    let shape = Shape::new(dims).map_err(|_| {
        Fault::of(Reason::TensorRank)
            .expected(format!("at most {RANK_MAX} dimensions"))
            .got(format!("{} dimensions", dims.len()))
    })?;
    let expected = shape.byte_len(dtype).map_err(|error| {
        Fault::of(Reason::TensorSize)
            .message(error.to_string())
            .got(format!("{len} bytes"))
    })?;
    if len == expected {
        return Ok(shape);
    }
    Err(Fault::of(Reason::TensorLength)
        .expected(format!("{expected} bytes for {dtype} {shape}"))
        .got(format!("{len} bytes")))
}

// === impl Tensor ===

impl Tensor {
    pub(crate) fn new(dims: Box<[u32]>, dtype: DType, body: Body, held: TensorHeld) -> Self {
        Self {
            dims,
            dtype,
            body,
            _held: Some(held),
        }
    }

    fn refused(mut dims: Vec<u32>, dtype: DType, fault: Fault) -> Self {
        // Not counted against the guest's bytes, so it may not grow with what the guest says.
        dims.truncate(RANK_MAX);
        Self {
            dims: dims.into(),
            dtype,
            body: Body::Refused(fault),
            _held: None,
        }
    }

    /// Takes it for a compute of `graph`.
    pub(crate) async fn into_input(self, name: TensorName, graph: &Graph) -> Result<Input, Fault> {
        if let Body::Refused(fault) = self.body {
            return Err(fault);
        }
        let named = |mut fault: Fault| {
            fault.message = format!("input {name}: {}", fault.message);
            fault
        };
        let shape = check(&self.dims, self.dtype, self.body.len()).map_err(named)?;
        let slot = self.body.into_input(graph).await?;
        Ok(Input {
            name,
            dtype: self.dtype,
            shape,
            slot,
        })
    }
}

// === impl WasiNnCtx ===

impl WasiNnCtx {
    fn plan(&self, dims: &[u32], dtype: DType, len: u64) -> Plan {
        let kept = len.saturating_add(wide(size_of_val(dims)));
        let held = match self.quota.tensor(kept) {
            Ok(held) => held,
            Err(fault) => return Plan::Refuse(fault),
        };
        match self.last_graph() {
            Some(graph) if check(dims, dtype, len).is_ok() => Plan::Arena(held, graph),
            Some(_) | None => Plan::Heap(held),
        }
    }
}

// === the interface ===

/// Offers the interface `tensor`.
pub(crate) fn add_to_linker<T: WasiNnView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.resource(
        "tensor",
        ResourceType::host::<Tensor>(),
        |mut store, rep| {
            let tensor = Resource::<Tensor>::new_own(rep);
            store.data_mut().nn().table.delete(tensor)?;
            Ok(())
        },
    )?;
    interface.func_wrap_async(
        "[constructor]tensor",
        |store, (dims, ty, data): (Vec<u32>, TensorType, WasmList<u8>)| {
            Box::new(construct(store, dims, dtype(ty), data))
        },
    )?;
    interface.func_wrap(
        "[method]tensor.dimensions",
        |mut store: StoreContextMut<'_, T>, (tensor,): (Resource<Tensor>,)| {
            let dims = &store.data_mut().nn().table.get(&tensor)?.dims;
            Ok((dims.clone(),))
        },
    )?;
    interface.func_wrap(
        "[method]tensor.ty",
        |mut store: StoreContextMut<'_, T>, (tensor,): (Resource<Tensor>,)| {
            let dtype = store.data_mut().nn().table.get(&tensor)?.dtype;
            Ok((tensor_type(dtype),))
        },
    )?;
    interface.func_wrap(
        "[method]tensor.data",
        |mut store: StoreContextMut<'_, T>, (tensor,): (Resource<Tensor>,)| {
            let bytes = store.data_mut().nn().table.get(&tensor)?.body.lower();
            Ok((bytes.map_err(wasmtime::Error::new)?,))
        },
    )
}

async fn construct<T: WasiNnView + 'static>(
    mut store: StoreContextMut<'_, T>,
    dims: Vec<u32>,
    dtype: DType,
    data: WasmList<u8>,
) -> wasmtime::Result<(Resource<Tensor>,)> {
    let len = wide(data.len());
    // The list is an offset: whatever has to be waited for comes before the bytes are touched.
    let tensor = match store.data_mut().nn().ctx.plan(&dims, dtype, len) {
        Plan::Refuse(fault) => Tensor::refused(dims, dtype, fault),
        Plan::Heap(held) => {
            let bytes = data.as_le_slice(&store).to_vec();
            Tensor::new(dims.into(), dtype, Body::Heap(bytes.into()), held)
        }
        Plan::Arena(held, graph) => {
            let room = room(&graph, len).await;
            let bytes = data.as_le_slice(&store);
            let body = match room {
                Some(slot) => {
                    slot.copy_from(bytes).map_err(wasmtime::Error::new)?;
                    Body::Input(slot)
                }
                None => Body::Heap(bytes.to_vec().into()),
            };
            Tensor::new(dims.into(), dtype, body, held)
        }
    };
    Ok((store.data_mut().nn().table.push(tensor)?,))
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;

    #[test]
    fn every_type_survives_the_interface() {
        let back = DType::ALL.map(|ty| dtype(tensor_type(ty)));
        assert_eq!(back, DType::ALL);
    }

    #[test]
    fn a_length_that_is_not_the_shapes_is_explained() {
        let fault = check(&[2, 3], DType::Fp32, 23).unwrap_err();
        assert_eq!(fault.code, Code::InvalidArgument);
        assert_eq!(fault.expected, "24 bytes for fp32 [2, 3]");
        assert_eq!(fault.got, "23 bytes");
    }

    #[test]
    fn nine_dimensions_and_overflow_are_invalid_arguments() {
        let refused = [
            check(&[1; 9], DType::U8, 1),
            check(&[u32::MAX; 3], DType::Fp64, 8),
        ];
        let codes = refused.map(|shape| shape.unwrap_err().code);
        assert_eq!(codes, [Code::InvalidArgument; 2]);
    }

    #[test]
    fn a_scalar_and_a_tensor_without_elements_are_tensors() {
        assert!(check(&[], DType::Fp64, 8).is_ok());
        assert!(check(&[0, u32::MAX], DType::Fp32, 0).is_ok());
    }
}
