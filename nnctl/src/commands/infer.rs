//! `nnctl infer`: one compute from `.npy` files, as a guest would do it: by a session, tensors in
//! shared memory.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nn_client::{Client, Graph, OutTensor};
use nn_tensor::{Fault, ModelRef, Tenant, TensorName};
use serde::Serialize;

use crate::cli;
use crate::failure::Failure;
use crate::npy::Array;
use crate::output::{Paint, Report, Table, micros, printable};
use crate::values::{self, Value};

/// Elements of an output that are shown.
const SHOWN: usize = 8;

/// A compute that is fit to be asked for.
#[derive(Debug)]
pub(crate) struct Request {
    model: ModelRef,
    tenant: Tenant,
    inputs: Vec<(TensorName, Array)>,
    output: Option<PathBuf>,
    limit: Duration,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Inference {
    model: String,
    /// As seen from here: copies and both ways included.
    compute_us: u64,
    outputs: Vec<OutputView>,
}

/// One output.
#[derive(Debug, Serialize)]
struct OutputView {
    name: String,
    dtype: &'static str,
    shape: Vec<u32>,
    bytes: u64,
    first_values: Vec<Value>,
    /// Where it was written.
    file: Option<PathBuf>,
}

/// Reads the files; refuses what the daemon need not be asked about.
pub(crate) fn check(args: cli::Infer) -> Result<Request, Failure> {
    if let Some(dir) = args.output.as_ref().filter(|dir| dir.is_file()) {
        let fault = Fault::invalid_argument(format!("{} is a file", dir.display()));
        return Err(fault.expected("a directory for the outputs").into());
    }
    let mut inputs = Vec::with_capacity(args.inputs.len());
    for input in &args.inputs {
        let name = TensorName::new(&input.name).map_err(Failure::usage)?;
        let array = Array::read(&input.path).map_err(Fault::from)?;
        inputs.push((name, array));
    }
    Ok(Request {
        model: args.model,
        tenant: args.tenant,
        inputs,
        output: args.output,
        limit: Duration::from_secs(args.timeout),
    })
}

/// Computes and, if asked to, writes the outputs.
pub(crate) async fn run(socket: &Path, request: Request) -> Result<Inference, Failure> {
    let limit = request.limit;
    let client = Client::new(socket.to_path_buf(), request.tenant.clone());
    client.connect().await?;
    let computing = compute(&client, &request);
    let Ok(computed) = tokio::time::timeout(limit, computing).await else {
        return Err(Failure::late("infer", limit));
    };
    let (graph, compute_us, outputs) = computed?;
    let files = files(request.output.as_deref(), &outputs);
    let views = outputs
        .iter()
        .zip(files)
        .map(|(output, file)| keep(output, file));
    Ok(Inference {
        model: graph,
        compute_us,
        outputs: views.collect::<Result<_, _>>()?,
    })
}

/// The version that computed, how long it took, and what came.
async fn compute(
    client: &Client,
    request: &Request,
) -> Result<(String, u64, Vec<OutTensor>), Failure> {
    let graph = client.resolve(&request.model.to_string()).await?;
    // What does not fit the model is refused before it takes shared memory.
    let given = request.inputs.iter();
    let given = given.map(|(name, array)| (name.as_str(), array.dtype, array.shape));
    graph.signature().accepts(given).map_err(Fault::from)?;
    let start = Instant::now();
    let mut inputs = Vec::with_capacity(request.inputs.len());
    for (name, array) in &request.inputs {
        inputs.push(place(&graph, name, array).await?);
    }
    let outputs = graph.compute(inputs, Some(request.limit)).await?;
    let took_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let reference = format!("{}@{}", graph.name(), graph.version());
    Ok((reference, took_us, outputs))
}

/// Copies an input into shared memory.
async fn place(
    graph: &Graph,
    name: &TensorName,
    array: &Array,
) -> Result<nn_client::Input, Failure> {
    let slot = graph.reserve(array.bytes.len() as u64).await?;
    slot.copy_from(&array.bytes)?;
    Ok(nn_client::Input {
        name: name.clone(),
        dtype: array.dtype,
        shape: array.shape,
        slot,
    })
}

/// Copies an output out of shared memory, and into its file if it is to have one.
fn keep(output: &OutTensor, file: Option<PathBuf>) -> Result<OutputView, Failure> {
    let array = Array {
        dtype: output.dtype,
        shape: output.shape,
        bytes: output.slot.to_vec()?,
    };
    if let Some(path) = &file {
        let parent = path.parent().unwrap_or(path);
        fs::create_dir_all(parent).map_err(|e| Failure::file("make", parent, &e))?;
        array.write(path).map_err(Fault::from)?;
    }
    Ok(view(output.name.as_str(), &array, file))
}

fn view(name: &str, array: &Array, file: Option<PathBuf>) -> OutputView {
    OutputView {
        name: name.to_owned(),
        dtype: array.dtype.name(),
        shape: array.shape.dims().to_vec(),
        bytes: array.bytes.len() as u64,
        first_values: values::first(array.dtype, &array.bytes, SHOWN),
        file,
    }
}

/// Where each output goes, in their order.
fn files(dir: Option<&Path>, outputs: &[OutTensor]) -> Vec<Option<PathBuf>> {
    let names = outputs.iter().map(|output| output.name.as_str());
    let names = file_names(names).into_iter();
    names.map(|name| dir.map(|dir| dir.join(name))).collect()
}

/// A file name for each output. Names come from models, which are not trusted: what is neither a
/// letter, a digit, `_` nor `-` (a dot is, but not at the beginning) becomes `_`, and what has become
/// alike is numbered.
fn file_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = HashSet::new();
    names
        .map(|name| {
            let safe = |(i, c): (usize, char)| match c {
                '.' if i > 0 => c,
                '_' | '-' => c,
                _ if c.is_ascii_alphanumeric() => c,
                _ => '_',
            };
            let stem: String = name.chars().take(200).enumerate().map(safe).collect();
            let numbered = (2..).map(|n: u32| format!("{stem}.{n}.npy"));
            std::iter::once(format!("{stem}.npy"))
                .chain(numbered)
                .find(|file| taken.insert(file.to_ascii_lowercase()))
                .unwrap_or_default()
        })
        .collect()
}

// === impl Inference ===

impl Report for Inference {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new(&["OUTPUT", "DTYPE", "SHAPE", "VALUES", "FILE"]);
        for output in &self.outputs {
            table.row([
                output.name.clone(),
                output.dtype.to_owned(),
                format!("{:?}", output.shape),
                output.values_text(),
                output.file_text(),
            ]);
        }
        let model = printable(&self.model);
        let took = micros(self.compute_us);
        format!("{}{model} computed in {took}\n", table.render(paint))
    }
}

// === impl OutputView ===

impl OutputView {
    fn values_text(&self) -> String {
        let shown: Vec<String> = self.first_values.iter().map(Value::to_string).collect();
        let elements = self
            .shape
            .iter()
            .map(|&dim| u64::from(dim))
            .product::<u64>();
        let more = if elements > SHOWN as u64 { ", …" } else { "" };
        format!("{}{more}", shown.join(", "))
    }

    fn file_text(&self) -> String {
        let file = self.file.as_ref();
        file.map_or_else(String::new, |file| file.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::{DType, Shape};

    use super::*;

    fn inference() -> Inference {
        let bytes: Vec<u8> = (0..9_u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
        let array = Array {
            dtype: DType::Fp32,
            shape: Shape::new(&[1, 9]).unwrap(),
            bytes,
        };
        Inference {
            model: "foo@1".to_owned(),
            compute_us: 3_400,
            outputs: vec![view("y", &array, None)],
        }
    }

    #[test]
    fn outputs_show_their_first_values() {
        assert_eq!(
            inference().text(Paint::Plain),
            "\
OUTPUT  DTYPE  SHAPE   VALUES                     FILE
y       fp32   [1, 9]  0, 1, 2, 3, 4, 5, 6, 7, …  -
foo@1 computed in 3.4 ms
"
        );
    }

    #[test]
    fn json_has_numbers_as_numbers() {
        let json = serde_json::to_value(inference()).unwrap();
        let output = &json["outputs"][0];
        assert_eq!(output["first_values"][7], 7.0);
        assert_eq!(output["bytes"], 36);
        assert!(output["file"].is_null());
    }

    #[test]
    fn an_output_cannot_name_a_file_elsewhere() {
        let names = [
            "../../etc/x",
            ".bashrc",
            "a/b",
            "a_b",
            "A_B",
            "Call:0",
            "v1.0",
        ];
        assert_eq!(
            file_names(names.into_iter()),
            [
                "_._.._etc_x.npy",
                "_bashrc.npy",
                "a_b.npy",
                "a_b.2.npy",
                "A_B.3.npy",
                "Call_0.npy",
                "v1.0.npy"
            ]
        );
    }
}
