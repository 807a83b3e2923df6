//! Pictures of another size, by a library that knows the processor's instructions. Channels are independent of each other: a
//! fourth one is no transparency to it.
//!
//! Rows are made first, then columns, by two calls. In a single one the library (6.1.0) takes for the width between its two
//! passes where the windows of the first and the last column end, and one in the middle may reach further by a pixel: it
//! then reads beyond its memory, as pictures of a few pixels show.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use nn_tensor::{Fault, Reason};

use crate::declare::{Filter, Fit};

/// What is kept between two pictures, in bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) height: u32,
    pub(crate) width: u32,
}

/// How pictures are resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) to: Size,
    pub(crate) channels: usize,
    pub(crate) fit: Fit,
    pub(crate) filter: Filter,
}

/// Memory that is used again.
#[derive(Debug, Default)]
pub(crate) struct Resizing {
    resizer: Resizer,
    /// The new rows, in the old columns.
    between: Vec<u8>,
    pub(crate) pixels: Vec<u8>,
}

/// The part of a picture that is seen, in pixels from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// Columns beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    first: u32,
    len: u32,
}

// === impl Size ===

impl Size {
    /// Bytes of a picture.
    pub(crate) fn bytes(self, channels: usize) -> Option<usize> {
        let height = usize::try_from(self.height).ok()?;
        let width = usize::try_from(self.width).ok()?;
        height.checked_mul(width)?.checked_mul(channels)
    }
}

// === impl How ===

impl How {
    /// What is seen of a picture of that size: all of it, or its middle in the new proportion.
    pub(crate) fn part(&self, from: Size) -> Part {
        let (height, width) = (f64::from(from.height), f64::from(from.width));
        let whole = Part {
            left: 0.0,
            top: 0.0,
            width,
            height,
        };
        // By whole numbers: which side stands over is no matter of rounding.
        let wide = u64::from(from.width).saturating_mul(self.to.height.into());
        let high = u64::from(from.height).saturating_mul(self.to.width.into());
        let (to_height, to_width) = (f64::from(self.to.height), f64::from(self.to.width));
        match (self.fit, wide.cmp(&high)) {
            (Fit::Stretch, _) | (Fit::Crop, std::cmp::Ordering::Equal) => whole,
            (Fit::Crop, std::cmp::Ordering::Greater) => {
                let seen = height * to_width / to_height;
                Part {
                    left: (width - seen) / 2.0,
                    width: seen,
                    ..whole
                }
            }
            (Fit::Crop, std::cmp::Ordering::Less) => {
                let seen = width * to_height / to_width;
                Part {
                    top: (height - seen) / 2.0,
                    height: seen,
                    ..whole
                }
            }
        }
    }

    /// The columns that those of a part are made of: it, and as much beside it as the filter looks at.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole numbers from 0 up to the picture's width"
    )]
    fn columns(&self, from: Size, part: Part) -> Option<Columns> {
        let scale = (part.width / f64::from(self.to.width)).max(1.0);
        let beside = (self.filter.reach() * scale).ceil() + 1.0;
        let first = (part.left.floor() - beside).max(0.0) as u32;
        let end = (part.left + part.width).ceil() + beside;
        let end = end.min(f64::from(from.width)) as u32;
        let len = end.checked_sub(first)?;
        Some(Columns { first, len })
    }

    /// The memory that resizing one picture takes, in bytes: the new pixels, and those between its two passes.
    pub(crate) fn scratch_bytes(&self, from: Size) -> usize {
        let between = Size {
            height: self.to.height,
            width: from.width.max(self.to.width),
        };
        let new = self.to.bytes(self.channels);
        let all = between
            .bytes(self.channels)
            .and_then(|between| between.checked_add(new?));
        all.unwrap_or(usize::MAX)
    }
}

// === impl Filter ===

impl Filter {
    fn algorithm(self) -> ResizeAlg {
        ResizeAlg::Convolution(match self {
            Self::Nearest => return ResizeAlg::Nearest,
            Self::Bilinear => FilterType::Bilinear,
            Self::Bicubic => FilterType::CatmullRom,
            Self::Lanczos => FilterType::Lanczos3,
        })
    }

    /// How far it looks, in pixels of the coarser of two pictures.
    fn reach(self) -> f64 {
        match self {
            Self::Nearest | Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }
}

// === impl Resizing ===

impl Resizing {
    /// Leaves the picture in its new size in `pixels`.
    pub(crate) fn resize(&mut self, how: &How, from: Size, bytes: &[u8]) -> Result<(), Fault> {
        let mut between = std::mem::take(&mut self.between);
        let mut pixels = std::mem::take(&mut self.pixels);
        let resized = self.by_two(how, (from, bytes), &mut between, &mut pixels);
        (self.between, self.pixels) = (between, pixels);
        resized.ok_or_else(|| Fault::of(Reason::Defect).message("a picture could not be resized"))
    }

    fn by_two(
        &mut self,
        how: &How,
        (from, bytes): (Size, &[u8]),
        between: &mut Vec<u8>,
        pixels: &mut Vec<u8>,
    ) -> Option<()> {
        let Size { height, width } = how.to;
        let part = how.part(from);
        if how.filter == Filter::Nearest {
            return self.step(how, (from, bytes), part, (how.to, pixels));
        }
        // All columns that one of the part's can be made of.
        let seen = how.columns(from, part)?;
        let tall = Size {
            height,
            width: seen.len,
        };
        let rows = Part {
            left: f64::from(seen.first),
            width: f64::from(seen.len),
            ..part
        };
        self.step(how, (from, bytes), rows, (tall, between))?;
        let columns = Part {
            left: part.left - f64::from(seen.first),
            width: part.width,
            top: 0.0,
            height: f64::from(height),
        };
        self.step(
            how,
            (tall, between),
            columns,
            (Size { height, width }, pixels),
        )
    }

    /// One call of the library.
    fn step(
        &mut self,
        how: &How,
        (from, bytes): (Size, &[u8]),
        part: Part,
        (size, to): (Size, &mut Vec<u8>),
    ) -> Option<()> {
        let kind = match how.channels {
            1 => PixelType::U8,
            3 => PixelType::U8x3,
            4 => PixelType::U8x4,
            _ => return None,
        };
        let options = ResizeOptions::new()
            .resize_alg(how.filter.algorithm())
            .crop(part.left, part.top, part.width, part.height)
            .use_alpha(false);
        to.resize(size.bytes(how.channels)?, 0);
        let source = ImageRef::new(from.width, from.height, bytes, kind).ok()?;
        let mut target = Image::from_slice_u8(size.width, size.height, to, kind).ok()?;
        self.resizer.resize(&source, &mut target, &options).ok()
    }

    /// Gives back what is not worth keeping.
    pub(crate) fn rest(&mut self) {
        for memory in [&mut self.between, &mut self.pixels] {
            if memory.capacity() > KEPT_BYTES_MAX {
                *memory = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests;
