//! What is computed: `output = input + 1` at five sizes, written here as ONNX by hand, and one real model.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

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

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
    out
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let len = u64::try_from(value.len()).unwrap_or(u64::MAX);
    [&varint(field << 3 | 2), &varint(len), value].concat()
}

/// A ValueInfoProto of f32.
fn value(name: &str, dims: &[u32]) -> Vec<u8> {
    let dims: Vec<Vec<u8>> = dims
        .iter()
        .map(|&dim| bytes(1, &number(1, u64::from(dim))))
        .collect();
    let tensor = [number(1, FLOAT), bytes(2, &dims.concat())].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

/// ONNX's number for f32.
const FLOAT: u64 = 1;

/// A ModelProto with one node: output = input + 1.
fn plus_one(dims: &[u32]) -> Vec<u8> {
    let node = [
        bytes(1, b"input"),
        bytes(1, b"one"),
        bytes(2, b"output"),
        bytes(3, b"plus-one"),
        bytes(4, b"Add"),
    ];
    let one = [
        number(1, 1),
        number(2, FLOAT),
        bytes(8, b"one"),
        bytes(9, &1_f32.to_le_bytes()),
    ];
    let graph = [
        bytes(1, &node.concat()),
        bytes(2, b"plus-one"),
        bytes(5, &one.concat()),
        bytes(11, &value("input", dims)),
        bytes(12, &value("output", dims)),
    ];
    let opset = [bytes(1, b""), number(2, 17)];
    [
        number(1, 8),
        bytes(7, &graph.concat()),
        bytes(8, &opset.concat()),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_seven_bits_at_a_time() {
        assert_eq!(varint(1), [1]);
        assert_eq!(varint(300), [0xac, 0x02]);
    }

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
