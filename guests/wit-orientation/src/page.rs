//! A page as the model wants it: a square of pixels that can be turned, planes of numbers, and the line that says what came of it.

use std::fmt::Write as _;

/// Pixels along each side of the picture that the model's own tools make: of these, they cut out the middle.
pub(crate) const RESIZED: u32 = 256;

/// What a batch of all turns is.
pub(crate) const BATCH: [u32; 4] = [4, 3, 224, 224];

/// By how much the page is turned, in the order of the batch; also what the model's classes mean.
pub(crate) const TURNS: [u32; 4] = [0, 90, 180, 270];

const FULL: usize = 256;
const SIDE: usize = 224;
const MARGIN: usize = (FULL - SIDE) / 2;

/// Of ImageNet's pictures, by channel: the mean, and how far they are from it.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// 224 rows of 224 pixels: red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page(Vec<[u8; 3]>);

/// How much a page seems to be turned, and how likely each of the four is.
pub(crate) fn line(turned: u32, likely: &[f32; 4]) -> String {
    let most = likely.iter().zip(TURNS).max_by(|a, b| a.0.total_cmp(b.0));
    let found = most.map_or(0, |(_, turn)| turn);
    let mut line = format!("turned {turned:>3}: {found:>3} ");
    for probability in likely {
        // Writing to a String cannot fail.
        let _ = write!(line, " {probability:.6}");
    }
    line
}

// === impl Page ===

impl Page {
    /// The middle of a picture of 256×256 pixels.
    pub(crate) fn new(rgb: &[u8]) -> Self {
        let (pixels, _none) = rgb.as_chunks::<3>();
        let rows = pixels.chunks(FULL).skip(MARGIN).take(SIDE);
        let cut = rows.flat_map(|row| row.iter().skip(MARGIN).take(SIDE));
        Self(cut.copied().collect())
    }

    /// The page, turned by a quarter, clockwise: what was the left column from below is the top row.
    pub(crate) fn turned(&self) -> Self {
        let column = |x: usize| {
            (0..SIDE)
                .rev()
                .filter_map(move |y| self.0.get(y * SIDE + x))
        };
        Self((0..SIDE).flat_map(column).copied().collect())
    }

    /// Planes of numbers, red first.
    pub(crate) fn planes(&self) -> impl Iterator<Item = f32> {
        let channels = MEAN.into_iter().zip(DEVIATION).enumerate();
        channels.flat_map(move |(channel, (mean, deviation))| {
            let bytes = self.0.iter().filter_map(move |pixel| pixel.get(channel));
            bytes.map(move |&byte| (f32::from(byte) / 255.0 - mean) / deviation)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// White, but for one pixel.
    fn page(row: usize, column: usize) -> Page {
        let mut rgb = vec![255; FULL * FULL * 3];
        let pixel = ((MARGIN + row) * FULL + MARGIN + column) * 3;
        rgb[pixel..pixel + 3].copy_from_slice(&[1, 2, 3]);
        Page::new(&rgb)
    }

    #[test]
    fn the_top_left_corner_goes_to_the_top_right() {
        assert_eq!(page(0, 0).turned(), page(0, SIDE - 1));
        assert_eq!(page(10, 20).turned(), page(20, SIDE - 1 - 10));
    }

    #[test]
    fn four_quarters_are_none() {
        let start = page(3, 7);
        assert_eq!(start.turned().turned().turned().turned(), start);
    }

    #[test]
    fn planes_are_normalised_by_channel() {
        let planes: Vec<f32> = page(0, 0).planes().collect();
        assert_eq!(planes.len(), 3 * SIDE * SIDE);
        let first = |channel: usize| planes[channel * SIDE * SIDE];
        let expected = [1.0_f32, 2.0, 3.0].map(|byte| byte / 255.0);
        let normal = |channel: usize| (expected[channel] - MEAN[channel]) / DEVIATION[channel];
        assert_eq!(
            [first(0), first(1), first(2)],
            [normal(0), normal(1), normal(2)]
        );
    }

    #[test]
    fn a_line_says_what_was_done_and_what_was_found() {
        assert_eq!(
            line(90, &[0.05, 0.9, 0.025, 0.025]),
            "turned  90:  90  0.050000 0.900000 0.025000 0.025000"
        );
    }
}
