//! A picture as a decoder leaves it, in the numbers and the order that a model takes.
//!
//! Resizing leaves bytes, and a byte has 256 values: what each becomes in each channel is computed once, exactly, and
//! looked up from then on, whatever the model's element type.

use nn_tensor::{DType, Fault, Reason, Shape};

use crate::PICTURE_SIDE_MAX;
use crate::cast::element;
use crate::declare::{Channels, Order, PerChannel, Picture, refused, short};
use crate::input::misplaced;
use crate::resize::{How, Resizing, Size};

/// What is done to a picture.
#[derive(Clone, Debug)]
pub(crate) struct PictureStep {
    pub(crate) how: How,
    /// Whether clients send several.
    pub(crate) many: bool,
    /// Whether the model has a dimension for several.
    pub(crate) batch: bool,
    pub(crate) to: Channels,
    pub(crate) tables: Tables,
}

/// What each byte becomes, for each of the model's channels, and which of the picture's that is.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    element_bytes: usize,
    channels: Vec<(usize, Table)>,
}

type Table = Box<[[u8; 8]; 256]>;

// === impl Tables ===

impl Tables {
    /// Fails where a number is not in the model's element type, which is told by the byte that becomes it.
    pub(crate) fn new(
        name: &str,
        picture: &Picture,
        dtype: DType,
        channels: usize,
    ) -> Result<Self, Fault> {
        let name = short(name);
        let place = |key: &str| format!("model.toml: inputs.{name}.picture.{key}");
        let of = |key: &str, numbers: Option<&PerChannel>, channel: usize, default: f64| {
            let Some(numbers) = numbers else {
                return Ok(default);
            };
            let count = numbers.numbers().len();
            let fits = matches!(numbers, PerChannel::All(_)) || count == channels;
            let number = numbers.of(channel).filter(|_| fits);
            number.ok_or_else(|| {
                refused(format!(
                    "{} has a number for other channels than the model's",
                    place(key)
                ))
                .expected(format!("one number, or {channels}"))
                .got(count.to_string())
            })
        };
        let mut all = Vec::with_capacity(channels);
        for channel in 0..channels {
            let scale = of("scale", picture.scale.as_ref(), channel, 1.0)?;
            let mean = of("mean", picture.mean.as_ref(), channel, 0.0)?;
            let std = of("std", picture.std.as_ref(), channel, 1.0)?;
            let mut table: Table = Box::new([[0; 8]; 256]);
            for (byte, made) in (0_u8..=255).zip(table.iter_mut()) {
                let number = (f64::from(byte) * scale - mean) / std;
                *made = element(number, dtype).filter(|_| number.is_finite()).ok_or_else(|| {
                    refused(format!(
                        "model.toml: inputs.{name}.picture makes numbers that the model's element type does not have"
                    ))
                    .expected(format!("numbers within the range of {dtype}"))
                    .got(format!("{number} for a byte of {byte}"))
                    .hint("(byte · scale − mean) / std")
                })?;
            }
            let from = match (picture.order, channel) {
                (Order::Bgr, 0..=2) => 2_usize.saturating_sub(channel),
                (Order::Rgb | Order::Bgr, _) => channel,
            };
            all.push((from, table));
        }
        Ok(Self {
            element_bytes: usize::try_from(dtype.size()).unwrap_or(8),
            channels: all,
        })
    }

    /// Writes one picture.
    fn look_up(&self, pixels: &[u8], to: &mut [u8], order: Channels) {
        match self.element_bytes {
            1 => self.look_up_of::<1>(pixels, to, order),
            2 => self.look_up_of::<2>(pixels, to, order),
            4 => self.look_up_of::<4>(pixels, to, order),
            _ => self.look_up_of::<8>(pixels, to, order),
        }
    }

    fn look_up_of<const BYTES: usize>(&self, pixels: &[u8], to: &mut [u8], order: Channels) {
        let count = self.channels.len().max(1);
        let (to, _) = to.as_chunks_mut::<BYTES>();
        let plane = to.len().checked_div(count).unwrap_or(0);
        for (at, (from, table)) in self.channels.iter().enumerate() {
            let table = cut::<BYTES>(table);
            let found = |byte: &u8| table.get(usize::from(*byte)).copied().unwrap_or([0; BYTES]);
            let bytes = pixels.iter().skip(*from).step_by(count);
            match order {
                Channels::First => {
                    let planes = to.chunks_exact_mut(plane.max(1)).nth(at);
                    for (to, byte) in planes.into_iter().flatten().zip(bytes) {
                        *to = found(byte);
                    }
                }
                Channels::Last => {
                    for (to, byte) in to.iter_mut().skip(at).step_by(count).zip(bytes) {
                        *to = found(byte);
                    }
                }
            }
        }
    }
}

/// The bytes of a table that count.
fn cut<const BYTES: usize>(table: &[[u8; 8]; 256]) -> [[u8; BYTES]; 256] {
    let mut cut = [[0; BYTES]; 256];
    for (short, long) in cut.iter_mut().zip(table) {
        *short = long.first_chunk().copied().unwrap_or([0; BYTES]);
    }
    cut
}

// === impl PictureStep ===

impl PictureStep {
    /// How many pictures of which size; `None` for what is none.
    fn read(&self, given: Shape) -> Option<(u32, Size)> {
        let (count, height, width, channels) = match (given.dims(), self.many) {
            (&[height, width, channels], false) => (1, height, width, channels),
            (&[count, height, width, channels], true) => (count, height, width, channels),
            _ => return None,
        };
        let sides = 1..=PICTURE_SIDE_MAX;
        let is_picture = sides.contains(&height)
            && sides.contains(&width)
            && usize::try_from(channels).is_ok_and(|channels| channels == self.how.channels);
        is_picture.then_some((count, Size { height, width }))
    }

    pub(crate) fn makes(&self, name: &str, given: Shape) -> Result<Shape, Fault> {
        let channels = self.how.channels;
        let (count, _) = self.read(given).ok_or_else(|| {
            let layout = if self.many {
                "[pictures, height, width, channels]"
            } else {
                "[height, width, channels]"
            };
            Fault::of(Reason::InputUnconverted).message(format!(
                "input {} is no picture that can be converted",
                short(name)
            ))
            .expected(format!(
                "{layout} with {channels} channels, and 1 to {PICTURE_SIDE_MAX} rows and columns"
            ))
            .got(given.to_string())
            .hint("send the picture's pixels, row by row, as a decoder gives them")
        })?;
        let channels = u32::try_from(channels).unwrap_or(u32::MAX);
        let Size { height, width } = self.how.to;
        let pixels = match self.to {
            Channels::First => [channels, height, width],
            Channels::Last => [height, width, channels],
        };
        let [a, b, c] = pixels;
        let shape = if self.batch {
            Shape::new(&[count, a, b, c])
        } else {
            Shape::new(&pixels)
        };
        shape.map_err(|error| Fault::too_large(error.to_string()))
    }

    pub(crate) fn scratch_bytes(&self, given: Shape) -> usize {
        match self.read(given) {
            Some((_, size)) => self.how.scratch_bytes(size),
            None => 0,
        }
    }

    pub(crate) fn convert(
        &self,
        given: Shape,
        bytes: &[u8],
        to: &mut [u8],
        resizing: &mut Resizing,
    ) -> Result<(), Fault> {
        let (count, size) = self.read(given).ok_or_else(misplaced)?;
        let count = usize::try_from(count).map_err(|_| misplaced())?;
        let one = size.bytes(self.how.channels).ok_or_else(misplaced)?;
        let made = to.len().checked_div(count).unwrap_or(0);
        let pictures = bytes.chunks_exact(one.max(1));
        for (picture, to) in pictures.zip(to.chunks_exact_mut(made.max(1))) {
            if size == self.how.to {
                self.tables.look_up(picture, to, self.to);
            } else {
                resizing.resize(&self.how, size, picture)?;
                self.tables.look_up(&resizing.pixels, to, self.to);
            }
        }
        resizing.rest();
        Ok(())
    }
}
