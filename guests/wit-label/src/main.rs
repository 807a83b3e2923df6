//! Says what a picture shows: `wit-label MODEL PIXELS WIDTH HEIGHT`, as a component; `witx-label`, as a core module. PIXELS is
//! a file of red, green and blue bytes, row by row, as a decoder leaves them. What else the model wants of a picture, and
//! what its numbers are called, its `model.toml` says.

use std::error::Error;
use std::process::ExitCode;
use std::{env, fs};

use nn_guest::{Tensor, describe, load_by_name};

fn main() -> ExitCode {
    match labels() {
        Ok(labels) => print!("{labels}"),
        Err(error) => {
            eprintln!("error: {}", describe(&*error));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn labels() -> Result<String, Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [model, pixels, width, height] = args.as_slice() else {
        return Err("the arguments are MODEL PIXELS WIDTH HEIGHT".into());
    };
    let pixels = fs::read(pixels)?;
    let picture = Tensor::new(&[height.parse()?, width.parse()?, 3], &pixels)?;
    let outputs = load_by_name(model)?.compute(&[picture])?;
    // After the values and where they are: a label a line, the likeliest first.
    Ok(String::from_utf8(outputs.take(2)?.into_bytes())?)
}
