//! Names what a picture shows, as a core module of the older ABI, by the crate `wasi-nn` 0.5: its numbers need
//! `--witx-dialect 0.5`.

use std::error::Error;
use std::process::ExitCode;

use picture::Model;
#[cfg(target_os = "wasi")]
use picture::{OUTPUT_ELEMENTS_MAX, SHAPE};
#[cfg(target_os = "wasi")]
use wasi_nn_05::{ExecutionTarget, GraphBuilder, GraphEncoding, TensorType};

fn main() -> ExitCode {
    picture::main("witx-classify-05", infer)
}

#[cfg(target_os = "wasi")]
fn infer(model: &Model, values: &[f32]) -> Result<Vec<u8>, Box<dyn Error>> {
    let builder = GraphBuilder::new(GraphEncoding::Onnx, ExecutionTarget::CPU);
    let graph = match model {
        Model::Name(name) => builder.build_from_cache(name)?,
        Model::File(path) => builder.build_from_files([path])?,
    };
    let mut context = graph.init_execution_context()?;
    context.set_input(
        0,
        TensorType::F32,
        &SHAPE.map(|extent| extent as usize),
        values,
    )?;
    context.compute()?;

    let mut output = vec![0_u8; OUTPUT_ELEMENTS_MAX * size_of::<f32>()];
    let len = context.get_output(0, &mut output)?;
    output.truncate(len);
    Ok(output)
}

/// The crate does not compile elsewhere; this program does, so that the workspace can be checked.
#[cfg(not(target_os = "wasi"))]
fn infer(_: &Model, _: &[f32]) -> Result<Vec<u8>, Box<dyn Error>> {
    Err("this guest runs in a host of WebAssembly only".into())
}
