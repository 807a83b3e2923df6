//! What `wit-bindgen` makes of `wit/wasi-nn.wit`, and nothing else.
#![expect(
    missing_docs,
    reason = "generated: the interface file is what documents it"
)]

wit_bindgen::generate!({
    path: "../wit",
    world: "ml",
});
