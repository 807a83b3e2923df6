//! What is computed: `output = input + 1` at five sizes, written here as ONNX, and one real model.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use nn_onnx_writer::value::fixed;
use nn_onnx_writer::{FLOAT, graph, model, node, tensor, value};

/// A model, its input and how often it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload {
    /// As people say it.
    pub(crate) title: &'static str,
    /// As the repository says it.
    pub(crate) model: &'static str,
    pub(crate) input: &'static str,
    pub(crate) dims: &'static [u32],
    pub(crate) out_bytes: u64,
    /// Calls of one turn.
    pub(crate) calls: u32,
}

/// The real one.
pub(crate) const EFFICIENTNET: &str = "efficientnet-lite0";

const fn add(
    title: &'static str,
    model: &'static str,
    dims: &'static [u32],
    out_bytes: u64,
    calls: u32,
) -> Payload {
    Payload {
        title,
        model,
        input: "input",
        dims,
        out_bytes,
        calls,
    }
}

/// In the order of the tables.
pub(crate) const PAYLOADS: [Payload; 6] = [
    add("16 B", "add-16b", &[4], 16, 200),
    add("4 KiB", "add-4k", &[1024], 4096, 200),
    add("588 KiB", "add-588k", &[1, 3, 224, 224], 602_112, 60),
    add("12 MiB", "add-12m", &[1, 3, 1024, 1024], 12 << 20, 12),
    add("64 MiB", "add-64m", &[1, 16, 1024, 1024], 64 << 20, 3),
    Payload {
        title: "efficientnet-lite0",
        model: EFFICIENTNET,
        input: "images",
        dims: &[1, 3, 224, 224],
        out_bytes: 4000,
        calls: 20,
    },
];

// === impl Payload ===

impl Payload {
    /// The command that has a guest use it.
    pub(crate) fn command(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(u32::to_string).collect();
        format!(
            "use {} {} {} {}",
            self.model,
            self.input,
            dims.join("x"),
            self.out_bytes
        )
    }
}

/// Makes a model repository for each payload, named like its model: a daemon starts a worker for whatever it serves, and the
/// others' would count as its memory. The real model is copied from where `cargo xtask setup` has put it.
pub(crate) fn repositories(dir: &Path, real: &Path) -> Result<()> {
    for payload in PAYLOADS {
        let version = dir.join(payload.model).join(payload.model).join("1");
        fs::create_dir_all(&version)?;
        let file = version.join("model.onnx");
        if payload.model == EFFICIENTNET {
            let from = real.join(EFFICIENTNET).join("1/model.onnx");
            fs::copy(&from, &file).with_context(|| {
                format!("{} is not there; hint: cargo xtask setup", from.display())
            })?;
        } else {
            fs::write(&file, plus_one(payload.dims))?;
        }
    }
    Ok(())
}

/// The model that costs nothing to load, so that its loading is the worker's start: four numbers plus one.
pub(crate) fn tiny() -> Vec<u8> {
    plus_one(&[4])
}

/// The one that the worker without a framework knows.
pub(crate) const FAKE: &[u8] = include_bytes!("../../tests/worker-fake/models/echo.onnx");

/// output = input + 1, of one node.
fn plus_one(dims: &[u32]) -> Vec<u8> {
    let dims = fixed(dims);
    let end = |name: &str| value::of(name, FLOAT, Some(&dims));
    let add = [
        node::of(&["input", "one"], &["output"], "Add"),
        node::name("plus-one"),
    ];
    let graph = [
        graph::node(&add.concat()),
        graph::name("plus-one"),
        graph::initializer(&tensor::floats("one", &[1.0])),
        graph::input(&end("input")),
        graph::output(&end("output")),
    ];
    model::of(&graph.concat(), 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_as_large_as_their_dimensions_say() {
        for payload in PAYLOADS
            .iter()
            .filter(|payload| payload.model != EFFICIENTNET)
        {
            let elements: u64 = payload.dims.iter().map(|&dim| u64::from(dim)).product();
            assert_eq!(elements * 4, payload.out_bytes, "{}", payload.title);
        }
    }
}
