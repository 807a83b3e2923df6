//! Pictures as a decoder leaves them: rows of red, green and blue bytes.

use nn_tests::Pixels;

/// scikit-image's coffee.png (CC0, models/pictures.toml) at 192 × 128: each pixel the mean of those that it covers.
const COFFEE: &[u8] = include_bytes!("coffee.rgb");

/// One of them.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixels: Vec<u8>,
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("an address of more than 32 bits")
}

impl Picture {
    /// A cup of it, seen from above.
    pub(crate) fn coffee() -> Self {
        Self {
            width: 192,
            height: 128,
            pixels: COFFEE.to_vec(),
        }
    }

    /// Bytes that differ from each other.
    pub(crate) fn pattern(width: u32, height: u32) -> Self {
        let pixels = (0..=250_u8).cycle().take(index(width) * index(height) * 3);
        Self {
            width,
            height,
            pixels: pixels.collect(),
        }
    }

    /// The same in another size, each pixel from the one below it.
    pub(crate) fn of_size(&self, width: u32, height: u32) -> Self {
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (left, top) = (x * self.width / width, y * self.height / height);
                let at = (index(top) * index(self.width) + index(left)) * 3;
                pixels.extend_from_slice(&self.pixels[at..at + 3]);
            }
        }
        Self {
            width,
            height,
            pixels,
        }
    }

    /// A PNG file of it: nothing filtered, nothing compressed.
    pub(crate) fn png(&self) -> Vec<u8> {
        nn_tests::png(self.width, self.height, Pixels::Rgb, &self.pixels)
    }
}
