//! Names what a picture shows: `wit-classify MODEL [IMAGE] [LABELS]`.
//!
//! It reads the picture itself, so the model gets what an ImageNet classifier of the EfficientNet-lite family was
//! trained on. It knows no other family's normalisation.

mod answer;
mod picture;
mod resample;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use nn_guest::{describe, elements, load_by_name, tensor};
use thiserror::Error;

use crate::picture::Picture;

const USAGE: &str = "usage: wit-classify MODEL [IMAGE] [LABELS]

  MODEL   the name of a model as its host knows it: NAME, NAME@VERSION or NAME:ALIAS
  IMAGE   a PNG or JPEG file that the host lets this guest see; without it, a built-in picture of a cup of coffee
  LABELS  a text file with the name of class N in line N + 1; without it, ImageNet's thousand

Prints the five likeliest classes: rank, class, probability, label.";

/// The model's only input, and the side of the square picture that it takes.
const INPUT: &str = "images";
const SIDE: u32 = 224;

const DEFAULT_PICTURE: &[u8] = include_bytes!("../../assets/coffee.jpg");
const DEFAULT_LABELS: &str = include_str!("../../../models/labels/imagenet-1k.txt");

#[derive(Debug, Error)]
enum ReadError {
    #[error("cannot read {path}")]
    File {
        path: String,
        source: std::io::Error,
    },
    #[error("cannot decode {path}")]
    Picture {
        path: String,
        source: picture::PictureError,
    },
    #[error("the model answers without any output")]
    NoOutput,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, image, labels) = match arguments.as_slice() {
        [help] if help == "--help" || help == "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [model] => (model, None, None),
        [model, image] => (model, Some(image), None),
        [model, image, labels] => (model, Some(image), Some(labels)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match classify(model, image, labels) {
        Ok(lines) => {
            print!("{lines}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn classify(
    model: &str,
    image: Option<&String>,
    labels: Option<&String>,
) -> Result<String, Box<dyn Error>> {
    let picture = read_picture(image)?;
    let labels = match labels {
        Some(path) => read_text(path)?,
        None => DEFAULT_LABELS.to_owned(),
    };
    let values = normalise(&resample::square(&picture, SIDE));

    let context = load_by_name(model)?.open()?;
    let input = tensor(&[1, 3, SIDE, SIDE], &values)?;
    let outputs = context.compute(vec![(INPUT.to_owned(), input)])?;
    let (_name, output) = outputs.first().ok_or(ReadError::NoOutput)?;
    Ok(answer::top_five(&elements::<f32>(output)?, &labels)?)
}

fn read_picture(path: Option<&String>) -> Result<Picture, ReadError> {
    let (path, bytes) = match path {
        None => ("the built-in picture", DEFAULT_PICTURE.to_vec()),
        Some(path) => {
            let read = std::fs::read(Path::new(path));
            (
                path.as_str(),
                read.map_err(|source| ReadError::File {
                    path: path.clone(),
                    source,
                })?,
            )
        }
    };
    Picture::decode(&bytes).map_err(|source| ReadError::Picture {
        path: path.to_owned(),
        source,
    })
}

fn read_text(path: &str) -> Result<String, ReadError> {
    std::fs::read_to_string(path).map_err(|source| ReadError::File {
        path: path.to_owned(),
        source,
    })
}

/// Interleaved bytes to planes of numbers from about -1 to 1, red first.
fn normalise(picture: &Picture) -> Vec<f32> {
    let plane = |channel| picture.rgb.iter().skip(channel).step_by(3);
    (0..3)
        .flat_map(plane)
        .map(|&byte| (f32::from(byte) - 127.0) / 128.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalise_puts_planes_one_after_the_other() {
        let picture = Picture {
            width: 2,
            height: 1,
            rgb: vec![127, 255, 0, 191, 63, 127],
        };
        assert_eq!(
            normalise(&picture),
            [0.0, 0.5, 1.0, -0.5, -127.0 / 128.0, 0.0]
        );
    }

    #[test]
    fn default_picture_is_a_square_of_the_right_size() {
        let picture = read_picture(None).unwrap();
        assert_eq!((picture.width, picture.height), (SIDE, SIDE));
    }

    #[test]
    fn default_labels_know_the_espresso() {
        assert_eq!(DEFAULT_LABELS.lines().count(), 1000);
        assert_eq!(DEFAULT_LABELS.lines().nth(967), Some("espresso"));
    }
}
