//! Tells which way up a page of text is: `wit-orientation MODEL [IMAGE]`. The page goes to the model four times in one batch, as
//! it is and turned, so that one can see that each turn is found.

mod page;

use std::error::Error;
use std::process::ExitCode;

use nn_guest::{Tensor, describe, load_by_name};

use crate::page::{Page, TURNS};

const USAGE: &str = "usage: wit-orientation MODEL [IMAGE]

  MODEL  the name of a model as its host knows it: NAME, NAME@VERSION or NAME:ALIAS
  IMAGE  a PNG or JPEG file that the host lets this guest see; without it, a built-in page of text

A line for the page as it is, and one for each quarter that it is turned by, clockwise: by how much the model finds the page
turned, and how likely it holds 0, 90, 180 and 270 degrees.";

const BUILT_IN: &[u8] = include_bytes!("../../assets/page.png");

/// A good camera's picture.
const PIXELS_MAX: usize = 50_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, image) = match arguments.as_slice() {
        [help] if help == "--help" || help == "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [model] if !model.starts_with('-') => (model, None),
        [model, image] if !model.starts_with('-') => (model, Some(image.as_str())),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match look(model, image) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn look(model: &str, image: Option<&str>) -> Result<(), Box<dyn Error>> {
    let file = match image {
        Some(path) => picture::file(path)?,
        None => BUILT_IN.to_vec(),
    };
    let mut page = Page::new(&picture::square(&file, page::RESIZED, PIXELS_MAX)?);
    let mut batch = Vec::new();
    for _ in TURNS {
        batch.extend(page.planes());
        page = page.turned();
    }
    let outputs = load_by_name(model)?.compute(&[Tensor::new(&page::BATCH, &batch)?])?;
    let [likely] = outputs.exactly()?;
    let likely = likely.with_shape::<f32>(&[4, 4])?;
    let values = likely.values::<f32>()?;
    for (turn, row) in TURNS.into_iter().zip(values.as_chunks().0) {
        println!("{}", page::line(turn, row));
    }
    Ok(())
}
