//! Names what a picture shows: `wit-classify MODEL [IMAGE] [LABELS]` as a component, `witx-classify` as a core module. The two
//! are the same program, built with another feature of `nn-guest`.

use std::error::Error;
use std::process::ExitCode;

use nn_guest::{Encoding, Target, Tensor, load, load_by_name};
use picture::{Model, SHAPE};

fn main() -> ExitCode {
    picture::main(env!("CARGO_PKG_NAME"), infer)
}

fn infer(model: &Model, values: &[f32]) -> Result<Vec<u8>, Box<dyn Error>> {
    let model = match model {
        Model::Name(name) => load_by_name(name)?,
        Model::File(path) => load(&[picture::file(path)?], Encoding::Onnx, Target::Cpu)?,
    };
    let outputs = model.compute(&[Tensor::new(&SHAPE, values)?])?;
    Ok(outputs.take(0)?.into_bytes())
}
