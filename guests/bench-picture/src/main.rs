//! The guest of `cargo xtask bench conversions`: a picture as a decoder leaves it, on its way to a model that wants planes of
//! numbers. Commands are `bench-loop`'s. A model whose input is named `images/raw` gets the picture as it is, under the name
//! `images`; any other is given what this guest makes of it, as the classifying guests do.

use std::borrow::Cow;
use std::io;

use bench_loop::{Abi, BenchError, Input, refused};
use nn_guest::component::{Context, Tensor, TensorType, load_by_name};
use picture::{SHAPE, planes_of};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;

/// What tells an input that takes pictures as they are.
const RAW: &str = "/raw";

struct Guest {
    context: Option<Context>,
    pixels: Vec<u8>,
    output: Vec<u8>,
}

impl Abi for Guest {
    fn open_named(&mut self, name: &str, _input: &Input) -> Result<(), BenchError> {
        let model = load_by_name(name).map_err(refused)?;
        self.context = Some(model.open().map_err(refused)?);
        Ok(())
    }

    fn open_bytes(&mut self, _model: Vec<u8>) -> Result<(), BenchError> {
        Err(refused("this guest takes models by their names"))
    }

    fn call(&mut self, input: &Input) -> Result<(), BenchError> {
        let context = self.context.as_ref().ok_or(BenchError::Idle)?;
        let (name, tensor) = match input.name.strip_suffix(RAW) {
            Some(name) => {
                let dims = [HEIGHT, WIDTH, 3];
                (name, Tensor::new(&dims, TensorType::U8, &self.pixels))
            }
            None => {
                let planes = planes_of(WIDTH, HEIGHT, &self.pixels);
                let bytes: Vec<u8> = planes
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                let name = input.name.as_str();
                (name, Tensor::new(&SHAPE, TensorType::Fp32, &bytes))
            }
        };
        let outputs = context
            .compute(vec![(name.to_owned(), tensor)])
            .map_err(refused)?;
        let (_, output) = outputs.first().ok_or_else(|| refused("no output"))?;
        self.output = Vec::new();
        self.output = output.data();
        Ok(())
    }

    fn output(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.output)
    }
}

fn main() -> io::Result<()> {
    let pixels = (0..=250_u8).cycle().take((WIDTH * HEIGHT * 3) as usize);
    bench_loop::serve(&mut Guest {
        context: None,
        pixels: pixels.collect(),
        output: Vec::new(),
    })
}
