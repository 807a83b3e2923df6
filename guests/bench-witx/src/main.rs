//! The guest of the benches, as a core module: `wasi_ephemeral_nn`, by the usual crate. The commands are `bench-loop`'s.

use std::borrow::Cow;
use std::io;

use bench_loop::{Abi, BenchError, Input, refused};
use wasi_nn::{ExecutionTarget, GraphBuilder, GraphEncoding, GraphExecutionContext, TensorType};

#[derive(Default)]
struct Witx {
    context: Option<GraphExecutionContext<'static>>,
    dims: Vec<usize>,
    output: Vec<u8>,
}

fn builder() -> GraphBuilder {
    GraphBuilder::new(GraphEncoding::Onnx, ExecutionTarget::CPU)
}

impl Abi for Witx {
    fn open_named(&mut self, name: &str, input: &Input) -> Result<(), BenchError> {
        let graph = builder().build_from_cache(name).map_err(refused)?;
        // A context borrows its graph, and this interface has no way to give either back.
        let graph = Box::leak(Box::new(graph));
        self.context = Some(graph.init_execution_context().map_err(refused)?);
        self.dims = input
            .dims
            .iter()
            .map(|&dim| usize::try_from(dim).map_err(refused))
            .collect::<Result<_, _>>()?;
        self.output = vec![0; input.out_bytes];
        Ok(())
    }

    fn open_bytes(&mut self, model: Vec<u8>) -> Result<(), BenchError> {
        let graph = builder().build_from_bytes([model]).map_err(refused)?;
        graph.init_execution_context().map_err(refused)?;
        Ok(())
    }

    fn call(&mut self, input: &Input) -> Result<(), BenchError> {
        let context = self.context.as_mut().ok_or(BenchError::Idle)?;
        context
            .set_input(0, TensorType::F32, &self.dims, input.bytes.as_slice())
            .map_err(refused)?;
        context.compute().map_err(refused)?;
        let written = context.get_output(0, &mut self.output).map_err(refused)?;
        if written == input.out_bytes {
            Ok(())
        } else {
            Err(refused(format!("an output of {written} bytes")))
        }
    }

    fn output(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.output)
    }
}

fn main() -> io::Result<()> {
    bench_loop::serve(&mut Witx::default())
}
