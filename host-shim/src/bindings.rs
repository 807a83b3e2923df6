//! What `bindgen!` makes of the interface, and which Rust type each resource is. Nothing else.
//!
//! The interfaces `tensor` and `graph` are generated for their types only: they are linked by hand
//! (`host/tensor.rs`, `host/graph.rs`), because the generated glue would copy their lists of bytes to vectors.

wasmtime::component::bindgen!({
    path: "wit",
    world: "wasi:nn/ml",
    imports: {
        "wasi:nn/inference.[method]graph-execution-context.compute": async | trappable,
        default: trappable,
    },
    with: {
        "wasi:nn/tensor.tensor": crate::host::Tensor,
        "wasi:nn/graph.graph": crate::host::GraphHandle,
        "wasi:nn/inference.graph-execution-context": crate::host::ExecutionContext,
        "wasi:nn/errors.error": crate::host::Failure,
    },
});
