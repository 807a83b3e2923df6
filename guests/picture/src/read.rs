//! Files, or what stands in for them, to what a model takes: planes of numbers, and labels.

use thiserror::Error;

use crate::SHAPE;
use crate::answer::{self, LabelsMismatch, Likely};
use crate::decode::{PIXELS_MAX, Picture, PictureError};
use crate::resample;

const SIDE: u32 = 224;

const DEFAULT_PICTURE: &[u8] = include_bytes!("../../assets/coffee.jpg");
const DEFAULT_LABELS: &str = include_str!("../../../models/labels/imagenet-1k.txt");

/// Why there is nothing to give to a model.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A file that is not there, or that the host does not show.
    #[error("cannot read {path}")]
    File {
        /// As the guest was given it.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that is no picture, or one too large.
    #[error("cannot decode {path}")]
    Picture {
        /// As the guest was given it.
        path: String,
        /// What is wrong with it.
        source: PictureError,
    },
    /// A generator that does not exist.
    #[error("cannot fill the input")]
    Fill(#[from] cases::SpecError),
}

/// The numbers that a model takes for a PNG or JPEG file of at most so many pixels.
///
/// # Errors
/// When it is no such file.
pub fn planes(file: &[u8], pixels_max: usize) -> Result<Vec<f32>, PictureError> {
    let picture = Picture::decode(file, pixels_max)?;
    Ok(normalise(&resample::square(&picture, SIDE)))
}

/// The same for a picture's bytes, red, green and blue, row by row; no numbers where there are not as many bytes.
#[must_use]
pub fn planes_of(width: u32, height: u32, rgb: &[u8]) -> Vec<f32> {
    let bytes = u64::from(width) * u64::from(height) * 3;
    if bytes == 0 || usize::try_from(bytes) != Ok(rgb.len()) {
        return Vec::new();
    }
    let rgb = rgb.to_vec();
    let picture = Picture { width, height, rgb };
    normalise(&resample::square(&picture, SIDE))
}

/// The central square of a PNG or JPEG file of at most so many pixels, resized: rows of `side` pixels, three bytes each.
///
/// # Errors
/// When it is no such file.
pub fn square(file: &[u8], side: u32, pixels_max: usize) -> Result<Vec<u8>, PictureError> {
    let picture = Picture::decode(file, pixels_max)?;
    Ok(resample::square(&picture, side).rgb)
}

/// The bytes of a file that the host lets this guest see.
///
/// # Errors
/// When it cannot be read.
pub fn file(path: &str) -> Result<Vec<u8>, ReadError> {
    std::fs::read(path).map_err(|source| unreadable(path, source))
}

/// The five likeliest of ImageNet's classes.
///
/// # Errors
/// When there are not a thousand.
pub fn likeliest(probabilities: &[f32]) -> Result<Vec<Likely<'static>>, LabelsMismatch> {
    answer::ranked(probabilities, DEFAULT_LABELS)
}

/// The numbers of a picture, of the built-in one without a path.
pub(crate) fn picture(path: Option<&str>) -> Result<Vec<f32>, ReadError> {
    let picture = decode(path)?;
    Ok(normalise(&resample::square(&picture, SIDE)))
}

/// As many numbers as a picture has, filled as test guests fill theirs.
pub(crate) fn fill(fill: &str) -> Result<Vec<f32>, ReadError> {
    let bytes = cases::fill(cases::DType::Fp32, &SHAPE, fill)?;
    let (elements, _rest) = bytes.as_chunks();
    Ok(elements
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect())
}

/// A label a line; ImageNet's without a path.
pub(crate) fn labels(path: Option<&str>) -> Result<String, ReadError> {
    let Some(path) = path else {
        return Ok(DEFAULT_LABELS.to_owned());
    };
    std::fs::read_to_string(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &str, source: std::io::Error) -> ReadError {
    let path = path.to_owned();
    ReadError::File { path, source }
}

fn decode(path: Option<&str>) -> Result<Picture, ReadError> {
    let (path, bytes) = match path {
        None => ("the built-in picture", DEFAULT_PICTURE.to_vec()),
        Some(path) => (path, file(path)?),
    };
    Picture::decode(&bytes, PIXELS_MAX).map_err(|source| ReadError::Picture {
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
        let picture = decode(None).unwrap();
        assert_eq!((picture.width, picture.height), (SIDE, SIDE));
    }

    #[test]
    fn default_labels_know_the_espresso() {
        assert_eq!(DEFAULT_LABELS.lines().count(), 1000);
        assert_eq!(DEFAULT_LABELS.lines().nth(967), Some("espresso"));
    }

    #[test]
    fn fill_has_the_checksum_that_other_languages_find() {
        let values = fill("lcg:7").unwrap();
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(values.len(), 150_528);
        assert_eq!(cases::Fnv::of(&bytes), "913ca0c095ee9be4");
    }
}
