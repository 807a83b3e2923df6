//! The central square of a picture, resized bit for bit as Pillow does with its bicubic filter.
//!
//! Known answers of a model are known for one way of preparing the picture. Classifiers of this family are evaluated
//! on Pillow's, so its arithmetic is repeated here: weights rounded to 22 bits, rows first, bytes in between.

use crate::decode::Picture;

/// Weights are whole multiples of 2^-22, as Pillow's are for bytes.
const PRECISION: u32 = 22;
/// How far the bicubic kernel reaches, in pixels of the coarser of the two pictures.
const REACH: f64 = 2.0;
const CHANNELS: usize = 3;

/// Which input pixels make one output pixel: the first of them, and the weight of each from there on.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    first: usize,
    weights: Vec<i64>,
}

/// Cuts out the central square and resizes it to `side` pixels.
pub(crate) fn square(picture: &Picture, side: u32) -> Picture {
    let edge = picture.width.min(picture.height);
    let windows = windows(edge, side);
    let (edge, side_len) = (index(edge), index(side));
    let row_len = index(picture.width) * CHANNELS;
    let left = index(picture.width).saturating_sub(edge) / 2 * CHANNELS;
    let top = index(picture.height).saturating_sub(edge) / 2;

    let mut narrow = Vec::with_capacity(edge * side_len * CHANNELS);
    for row in picture.rgb.chunks_exact(row_len).skip(top).take(edge) {
        let row = &row[left..left + edge * CHANNELS];
        for window in &windows {
            for channel in 0..CHANNELS {
                let start = window.first * CHANNELS + channel;
                narrow.push(window.sum(row[start..].iter().step_by(CHANNELS)));
            }
        }
    }

    let narrow_len = side_len * CHANNELS;
    let mut rgb = Vec::with_capacity(side_len * narrow_len);
    for window in &windows {
        let start = window.first * narrow_len;
        for column in 0..narrow_len {
            rgb.push(window.sum(narrow[start + column..].iter().step_by(narrow_len)));
        }
    }
    Picture {
        width: side,
        height: side,
        rgb,
    }
}

/// Windows for resizing a line of `from` pixels to `to`. When it shrinks, the kernel widens with it: that is what keeps
/// fine patterns from turning into noise.
fn windows(from: u32, to: u32) -> Vec<Window> {
    let scale = f64::from(from) / f64::from(to);
    let widening = scale.max(1.0);
    let reach = REACH * widening;
    (0..to)
        .map(|position| {
            let centre = (f64::from(position) + 0.5) * scale;
            let first = truncate(centre - reach + 0.5);
            let end = truncate(centre + reach + 0.5).min(from);
            let kernel: Vec<f64> = (first..end)
                .map(|pixel| bicubic((f64::from(pixel) - centre + 0.5) / widening))
                .collect();
            let total: f64 = kernel.iter().sum();
            Window {
                first: index(first),
                weights: kernel.iter().map(|weight| fixed(weight / total)).collect(),
            }
        })
        .collect()
}

/// The cubic convolution kernel with a = -1/2.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < REACH {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a weight is within ±2, so this is within ±2^23"
)]
fn fixed(weight: f64) -> i64 {
    (weight * f64::from(1_u32 << PRECISION)).round() as i64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions are below 2^32, and `as` saturates the negative ones to 0, which is wanted"
)]
fn truncate(position: f64) -> u32 {
    position as u32
}

/// Guests have 32-bit addresses and hosts that run the tests 64-bit ones: nothing is lost.
fn index(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

// === impl Window ===

impl Window {
    fn sum<'a>(&self, pixels: impl Iterator<Item = &'a u8>) -> u8 {
        let half = 1_i64 << (PRECISION - 1);
        let products = self
            .weights
            .iter()
            .zip(pixels)
            .map(|(weight, &byte)| weight * i64::from(byte));
        let value = (half + products.sum::<i64>()) >> PRECISION;
        u8::try_from(value.clamp(0, 255)).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_size_leaves_every_byte_as_it_is() {
        let rgb: Vec<u8> = (0..4 * 4 * 3).collect();
        let picture = Picture {
            width: 4,
            height: 4,
            rgb,
        };
        assert_eq!(square(&picture, 4), picture);
    }

    #[test]
    fn square_is_cut_from_the_middle() {
        let picture = Picture {
            width: 3,
            height: 1,
            rgb: vec![1, 2, 3, 4, 5, 6, 7, 8, 9],
        };
        assert_eq!(square(&picture, 1).rgb, [4, 5, 6]);
    }

    #[test]
    fn shrinking_gives_the_bytes_that_pillow_gives() {
        let wheel = Picture::decode(
            include_bytes!("../tests/wheel.png"),
            crate::decode::PIXELS_MAX,
        )
        .unwrap();
        let pillow = Picture::decode(
            include_bytes!("../tests/wheel-pillow-24.png"),
            crate::decode::PIXELS_MAX,
        )
        .unwrap();
        assert_eq!(square(&wheel, 24), pillow);
    }

    #[test]
    fn enlarging_gives_the_bytes_that_pillow_gives() {
        let wheel = Picture::decode(
            include_bytes!("../tests/wheel.png"),
            crate::decode::PIXELS_MAX,
        )
        .unwrap();
        let pillow = Picture::decode(
            include_bytes!("../tests/wheel-pillow-75.png"),
            crate::decode::PIXELS_MAX,
        )
        .unwrap();
        assert_eq!(square(&wheel, 75), pillow);
    }
}
