//! Names what a picture shows, as a core module of the older ABI, by the crate `wasi-nn` 0.4, which has no
//! loading by name: MODEL is a file here. Its numbers need `--witx-dialect 0.4`.

use std::error::Error;
use std::process::ExitCode;

use picture::{Model, OUTPUT_ELEMENTS_MAX, SHAPE};
use wasi_nn_04::{ExecutionTarget, GraphBuilder, GraphEncoding, TensorType};

fn main() -> ExitCode {
    picture::main("witx-classify-04", infer)
}

fn infer(model: &Model, values: &[f32]) -> Result<Vec<u8>, Box<dyn Error>> {
    let builder = GraphBuilder::new(GraphEncoding::Onnx, ExecutionTarget::CPU);
    let graph = match model {
        Model::Name(_) => {
            return Err("wasi-nn 0.4 cannot load by name; give the path of a file".into());
        }
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
