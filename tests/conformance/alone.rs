//! A framework alone: the backend's crate in a process of its own, without guest, daemon or jail. `nn-alone BACKEND LIBRARY MODEL`
//! loads an ONNX file, answers the calls that come by stdin, and says in the framework's own words why it cannot.

use std::io::{self, BufReader, Write as _};
use std::path::Path;

use nix::unistd::alarm;
use nn_backend::{
    Backend, BackendError, Bytes, Input, LoadedModel, Model, Precision, Scratch, Setup,
};
use nn_backend_openvino::OpenVinoBackend;
use nn_backend_ort::OrtBackend;
use nn_tensor::Shape;

use wire::Tensor;

mod wire;

/// How long it may live, in seconds: the kernel ends it if a framework hangs.
const LIFE_SECONDS: u32 = 120;

fn main() -> io::Result<()> {
    alarm::set(LIFE_SECONDS);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [backend, library, file] = arguments.as_slice() else {
        return Err(io::Error::other("usage: nn-alone BACKEND LIBRARY MODEL"));
    };
    let mut backend: Box<dyn Backend> = match backend.as_str() {
        "onnxruntime" => Box::new(OrtBackend::new()),
        "openvino" => Box::new(OpenVinoBackend::new()),
        _ => return Err(io::Error::other("expected onnxruntime or openvino")),
    };
    let setup = Setup {
        library: Path::new(library),
        threads: 1,
        log: |_| {},
    };
    backend.open(&setup).map_err(io::Error::other)?;
    let bytes = std::fs::read(file)?;
    let parts = [("model.onnx", bytes.as_slice())];
    let model = Model {
        format: "onnx",
        parts: &parts,
        precision: Precision::F32,
    };
    let mut loaded = backend.load(&model);
    let mut from = BufReader::new(io::stdin());
    while let Some(line) = wire::line(&mut from)? {
        let count = line.rsplit(' ').next().unwrap_or_default();
        let inputs = wire::read_tensors(&mut from, count)?;
        let answered = match &mut loaded {
            Ok(model) => run(model.as_mut(), &inputs).map_err(|error| ("compute", told(&error))),
            Err(error) => Err(("load", told(error))),
        };
        answer(&answered)?;
    }
    Ok(())
}

fn answer(answer: &Result<Vec<Tensor>, (&str, String)>) -> io::Result<()> {
    let mut to = io::stdout().lock();
    match answer {
        Ok(outputs) => {
            writeln!(to, "ok {}", outputs.len())?;
            wire::tensors(&mut to, outputs)?;
        }
        Err((stage, text)) => writeln!(to, "error {stage} {}", text.replace('\n', " "))?,
    }
    to.flush()
}

/// Our sentence, and the framework's words.
fn told(error: &BackendError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn run(model: &mut dyn LoadedModel, given: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
    let signature = model.signature().clone();
    let known = |name: &str| {
        signature
            .inputs
            .iter()
            .any(|spec| spec.name.as_str() == name)
    };
    if let Some(left_out) = given.iter().find(|tensor| !known(&tensor.name)) {
        let text = format!("the framework has no input {}", left_out.name);
        return Err(BackendError::Run(text.into()));
    }
    let mut inputs = Vec::new();
    for spec in &signature.inputs {
        let name = spec.name.as_str();
        let tensor = given.iter().find(|tensor| tensor.name == name);
        let known =
            tensor.and_then(|tensor| Some((tensor, tensor.dtype?, tensor.dims.as_deref()?)));
        let known =
            known.and_then(|(tensor, dtype, dims)| Some((tensor, dtype, Shape::new(dims).ok()?)));
        let Some((tensor, dtype, shape)) = known else {
            return Err(BackendError::Run(format!("no input {name}").into()));
        };
        inputs.push(Input {
            name,
            dtype,
            shape,
            bytes: Bytes::Private(&tensor.bytes),
        });
    }
    let mut sink = Scratch::default();
    model.run(&inputs, &mut sink)?;
    let outputs = signature.outputs.iter().enumerate();
    let outputs = outputs.filter_map(|(place, spec)| {
        let (dtype, shape, bytes) = sink.output(place)?;
        Some(Tensor {
            name: spec.name.as_str().to_owned(),
            dtype: Some(dtype),
            dims: Some(shape.dims().to_vec()),
            bytes,
        })
    });
    Ok(outputs.collect())
}
