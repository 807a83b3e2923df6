//! Against the definition of resampling, in doubles, and cases by hand.

use proptest::prelude::*;

use super::*;

/// The library weighs in whole numbers of 16 bits, rounds between its two passes and after them.
const OFF_MAX: f64 = 2.0;

fn how(height: u32, width: u32, fit: Fit, filter: Filter) -> How {
    How {
        to: Size { height, width },
        channels: 3,
        fit,
        filter,
    }
}

fn resized(how: &How, from: Size, bytes: &[u8]) -> Vec<u8> {
    let mut resizing = Resizing::default();
    resizing.resize(how, from, bytes).unwrap();
    resizing.pixels
}

fn kernel(filter: Filter, x: f64) -> f64 {
    let x = x.abs();
    let sinc = |x: f64| {
        let angle = x * std::f64::consts::PI;
        if x == 0.0 { 1.0 } else { angle.sin() / angle }
    };
    match filter {
        Filter::Nearest => f64::from(u8::from(x < 0.5)),
        Filter::Bilinear => (1.0 - x).max(0.0),
        Filter::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        Filter::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        Filter::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
        Filter::Bicubic | Filter::Lanczos => 0.0,
    }
}

/// One line: what each new pixel is made of.
fn weights(filter: Filter, from: u32, (start, len): (f64, f64), to: u32) -> Vec<Vec<f64>> {
    let scale = len / f64::from(to);
    let widening = scale.max(1.0);
    (0..to)
        .map(|at| {
            let centre = start + (f64::from(at) + 0.5) * scale;
            let weight = |pixel: u32| kernel(filter, (f64::from(pixel) + 0.5 - centre) / widening);
            let row: Vec<f64> = (0..from).map(weight).collect();
            let sum: f64 = row.iter().sum();
            row.into_iter().map(|weight| weight / sum).collect()
        })
        .collect()
}

/// Columns first, then rows; bytes in between, as the library has them.
fn reference(how: &How, from: Size, bytes: &[u8]) -> Vec<f64> {
    let part = how.part(from);
    let across = weights(
        how.filter,
        from.width,
        (part.left, part.width),
        how.to.width,
    );
    let down = weights(
        how.filter,
        from.height,
        (part.top, part.height),
        how.to.height,
    );
    let width = from.width as usize;
    let mut made = Vec::new();
    for down in &down {
        for across in &across {
            for channel in 0..how.channels {
                let column = |x: usize| -> f64 {
                    let pixel =
                        |y: usize| f64::from(bytes[(y * width + x) * how.channels + channel]);
                    let sum: f64 = down.iter().enumerate().map(|(y, w)| w * pixel(y)).sum();
                    sum.clamp(0.0, 255.0)
                };
                let sum: f64 = across.iter().enumerate().map(|(x, w)| w * column(x)).sum();
                made.push(sum.clamp(0.0, 255.0));
            }
        }
    }
    made
}

#[test]
fn two_pixels_become_their_mean() {
    let how = how(1, 1, Fit::Stretch, Filter::Bilinear);
    let from = Size {
        height: 1,
        width: 2,
    };
    assert_eq!(resized(&how, from, &[0, 100, 7, 50, 200, 7]), [25, 150, 7]);
}

#[test]
fn what_stands_over_is_cut_off_at_both_sides() {
    let how = how(1, 1, Fit::Crop, Filter::Bilinear);
    let wide = Size {
        height: 1,
        width: 3,
    };
    assert_eq!(resized(&how, wide, &[1, 1, 1, 5, 6, 7, 9, 9, 9]), [5, 6, 7]);
    let high = Size {
        height: 3,
        width: 1,
    };
    assert_eq!(resized(&how, high, &[1, 1, 1, 5, 6, 7, 9, 9, 9]), [5, 6, 7]);
    let whole = How {
        fit: Fit::Stretch,
        ..how
    };
    assert_ne!(
        resized(&whole, wide, &[1, 1, 1, 5, 6, 7, 9, 9, 9]),
        [5, 6, 7]
    );
}

#[test]
fn a_part_of_another_proportion_keeps_the_whole_of_one_side() {
    let how = how(224, 224, Fit::Crop, Filter::Bicubic);
    let part = how.part(Size {
        height: 480,
        width: 640,
    });
    assert_eq!(
        part,
        Part {
            left: 80.0,
            top: 0.0,
            width: 480.0,
            height: 480.0
        }
    );
    let part = how.part(Size {
        height: 401,
        width: 400,
    });
    assert_eq!(
        part,
        Part {
            left: 0.0,
            top: 0.5,
            width: 400.0,
            height: 400.0
        }
    );
}

#[test]
fn a_fourth_channel_is_no_transparency() {
    let how = How {
        channels: 4,
        ..how(1, 1, Fit::Stretch, Filter::Bilinear)
    };
    let from = Size {
        height: 1,
        width: 2,
    };
    assert_eq!(
        resized(&how, from, &[100, 0, 0, 0, 200, 0, 0, 0]),
        [150, 0, 0, 0]
    );
}

#[test]
fn memory_for_a_picture_is_told_beforehand_and_never_wraps() {
    let how = how(224, 224, Fit::Crop, Filter::Bicubic);
    let told = how.scratch_bytes(Size {
        height: 480,
        width: 640,
    });
    assert_eq!(told, (640 * 224 + 224 * 224) * 3);
    let mut resizing = Resizing::default();
    let from = Size {
        height: 480,
        width: 640,
    };
    resizing
        .resize(&how, from, &vec![0; 640 * 480 * 3])
        .unwrap();
    let inner = resizing.resizer.size_of_internal_buffers();
    let taken = inner + resizing.between.len() + resizing.pixels.len();
    assert!(taken <= told + 64, "{taken}");
    let largest = Size {
        height: u32::MAX,
        width: u32::MAX,
    };
    assert!(how.scratch_bytes(largest) > told);
}

proptest! {
    #[test]
    fn a_picture_is_close_to_the_definition(
        (from_height, from_width) in (1..24_u32, 1..24_u32),
        (height, width) in (1..24_u32, 1..24_u32),
        filter in prop::sample::select(vec![Filter::Bilinear, Filter::Bicubic, Filter::Lanczos]),
        fit in prop::sample::select(vec![Fit::Crop, Fit::Stretch]),
        channels in prop::sample::select(vec![1_usize, 3, 4]),
        seed in any::<u64>(),
    ) {
        let how = How { channels, ..how(height, width, fit, filter) };
        let from = Size { height: from_height, width: from_width };
        let mut state = seed | 1;
        let bytes: Vec<u8> = (0..from.bytes(channels).unwrap())
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        let made = resized(&how, from, &bytes);
        let expected = reference(&how, from, &bytes);
        for (made, expected) in made.iter().zip(&expected) {
            prop_assert!((f64::from(*made) - expected).abs() <= OFF_MAX, "{made} {expected}");
        }
    }
}
