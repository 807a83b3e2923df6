//! Names what a picture shows, as a component: `wit-classify MODEL [IMAGE] [LABELS]`.

use std::error::Error;
use std::process::ExitCode;

use nn_guest::{ExecutionTarget, GraphEncoding, load, load_by_name, tensor};
use picture::{Model, SHAPE};

fn main() -> ExitCode {
    picture::main("wit-classify", infer)
}

fn infer(model: &Model, values: &[f32]) -> Result<Vec<u8>, Box<dyn Error>> {
    let model = match model {
        Model::Name(name) => load_by_name(name)?,
        Model::File(path) => {
            let bytes =
                std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?;
            load(&[bytes], GraphEncoding::Onnx, ExecutionTarget::Cpu)?
        }
    };
    let context = model.open()?;
    // An input's name, or its place among the model's inputs, in decimal.
    let input = ("0".to_owned(), tensor(&SHAPE, values)?);
    let outputs = context.compute(vec![input])?;
    let (_name, output) = outputs
        .first()
        .ok_or("the model answers without any output")?;
    Ok(output.data())
}
