//! PNG and JPEG files to plain RGB bytes. Transparency is left out, not blended; EXIF orientation is not looked at.

use std::io::Cursor;

use thiserror::Error;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// A small file can claim a huge picture; this much (a good camera's) still fits into a guest's memory.
pub(crate) const PIXELS_MAX: usize = 50_000_000;

/// Rows of pixels, three bytes each: red, green, blue.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// As many bytes as both say.
    pub rgb: Vec<u8>,
}

/// Why a file is not a picture for us.
#[derive(Debug, Error)]
pub enum PictureError {
    /// By its first bytes it is something else.
    #[error("neither a PNG nor a JPEG file")]
    Format,
    /// Its size is out of bounds.
    #[error("{width}x{height} pixels are more than {max}, or none")]
    Size {
        /// Its pixels in a row.
        width: usize,
        /// Its rows.
        height: usize,
        /// The most pixels.
        max: usize,
    },
    /// It begins as a PNG, and then is none.
    #[error("bad PNG")]
    Png(#[from] png::DecodingError),
    /// It begins as a JPEG, and then is none.
    #[error("bad JPEG")]
    Jpeg(#[from] zune_jpeg::errors::DecodeErrors),
}

// === impl Picture ===

impl Picture {
    /// Decodes a file of at most so many pixels by its first bytes, whatever its name says.
    ///
    /// # Errors
    /// When it is no PNG or JPEG file, a broken one, or one with more pixels.
    pub fn decode(file: &[u8], pixels_max: usize) -> Result<Self, PictureError> {
        if file.starts_with(b"\x89PNG\r\n\x1a\n") {
            decode_png(file, pixels_max)
        } else if file.starts_with(b"\xff\xd8\xff") {
            decode_jpeg(file, pixels_max)
        } else {
            Err(PictureError::Format)
        }
    }
}

fn decode_png(file: &[u8], pixels_max: usize) -> Result<Picture, PictureError> {
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let (width, height) = (reader.info().width, reader.info().height);
    let pixels = check_size(widen(width), widen(height), pixels_max)?;

    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(pixels * 4)];
    let frame = reader.next_frame(&mut bytes)?;
    bytes.truncate(frame.buffer_size());
    let rgb = match frame.color_type.samples() {
        1 | 2 => spread_grey(&bytes, frame.color_type.samples()),
        4 => bytes
            .chunks_exact(4)
            .flat_map(|pixel| &pixel[..3])
            .copied()
            .collect(),
        _ => bytes,
    };
    Ok(Picture { width, height, rgb })
}

fn spread_grey(bytes: &[u8], samples: usize) -> Vec<u8> {
    bytes
        .iter()
        .step_by(samples)
        .flat_map(|&grey| [grey; 3])
        .collect()
}

fn decode_jpeg(file: &[u8], pixels_max: usize) -> Result<Picture, PictureError> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers()?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_size(width, height, pixels_max)?;
    let rgb = decoder.decode()?;
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(width), Ok(height)) if rgb.len() == pixel_count(width, height) * 3 => {
            Ok(Picture { width, height, rgb })
        }
        _ => Err(PictureError::Size {
            width,
            height,
            max: pixels_max,
        }),
    }
}

/// The number of pixels, if it is one that we take.
fn check_size(width: usize, height: usize, max: usize) -> Result<usize, PictureError> {
    match width.checked_mul(height) {
        Some(pixels) if (1..=max).contains(&pixels) => Ok(pixels),
        _ => Err(PictureError::Size { width, height, max }),
    }
}

fn pixel_count(width: u32, height: u32) -> usize {
    widen(width) * widen(height)
}

/// Guests have 32-bit addresses and hosts that run the tests 64-bit ones: nothing is lost.
fn widen(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_a_picture() {
        assert!(matches!(
            Picture::decode(b"GIF89a", PIXELS_MAX),
            Err(PictureError::Format)
        ));
    }

    #[test]
    fn truncated_png_is_an_error() {
        let file = include_bytes!("../tests/wheel.png");
        assert!(matches!(
            Picture::decode(&file[..file.len() / 2], PIXELS_MAX),
            Err(PictureError::Png(_))
        ));
    }

    #[test]
    fn empty_jpeg_is_an_error() {
        assert!(matches!(
            Picture::decode(b"\xff\xd8\xff\xe0", PIXELS_MAX),
            Err(PictureError::Jpeg(_))
        ));
    }

    #[test]
    fn palette_png_decodes_to_the_pixels_of_the_rgb_png() {
        let palette = Picture::decode(include_bytes!("../tests/palette.png"), PIXELS_MAX).unwrap();
        let rgba =
            Picture::decode(include_bytes!("../tests/palette-as-rgba.png"), PIXELS_MAX).unwrap();
        assert_eq!(palette, rgba);
    }

    #[test]
    fn sixteen_bit_grey_png_becomes_rgb() {
        let picture = Picture::decode(include_bytes!("../tests/grey16.png"), PIXELS_MAX).unwrap();
        assert_eq!((picture.width, picture.height), (2, 1));
        assert_eq!(picture.rgb, [0, 0, 0, 128, 128, 128]);
    }

    #[test]
    fn oversized_picture_is_refused() {
        assert!(check_size(10_000, 10_000, PIXELS_MAX).is_err());
        assert!(check_size(usize::MAX, 2, PIXELS_MAX).is_err());
        assert!(check_size(0, 5, PIXELS_MAX).is_err());
    }
}
