//! The guest of the benches, as a component: `wasi:nn` by its WIT interface. The commands are `bench-loop`'s.

use std::borrow::Cow;
use std::io;

use bench_loop::{Abi, BenchError, Input, refused};
use nn_guest::component::{
    Context, ExecutionTarget, GraphEncoding, Tensor, TensorType, load, load_by_name,
};

#[derive(Default)]
struct Wit {
    context: Option<Context>,
    output: Vec<u8>,
}

impl Abi for Wit {
    fn open_named(&mut self, name: &str, _input: &Input) -> Result<(), BenchError> {
        let model = load_by_name(name).map_err(refused)?;
        self.context = Some(model.open().map_err(refused)?);
        Ok(())
    }

    fn open_bytes(&mut self, model: Vec<u8>) -> Result<(), BenchError> {
        let model = load(&[model], GraphEncoding::Onnx, ExecutionTarget::Cpu).map_err(refused)?;
        model.open().map_err(refused)?;
        Ok(())
    }

    fn call(&mut self, input: &Input) -> Result<(), BenchError> {
        let context = self.context.as_ref().ok_or(BenchError::Idle)?;
        let tensor = Tensor::new(&input.dims, TensorType::Fp32, &input.bytes);
        let outputs = context
            .compute(vec![(input.name.clone(), tensor)])
            .map_err(refused)?;
        let (_, output) = outputs.first().ok_or_else(|| refused("no output"))?;
        // The interface gives new bytes every time; the old ones go first.
        self.output = Vec::new();
        self.output = output.data();
        if self.output.len() == input.out_bytes {
            Ok(())
        } else {
            let got = self.output.len();
            Err(refused(format!("an output of {got} bytes")))
        }
    }

    fn output(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.output)
    }
}

fn main() -> io::Result<()> {
    bench_loop::serve(&mut Wit::default())
}
