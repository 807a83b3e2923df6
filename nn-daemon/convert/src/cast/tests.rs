//! Against exact arithmetic: a number's nearest of a type is found by trying its neighbours.

use proptest::prelude::*;

use super::*;

fn bytes<E: Element>(numbers: &[E]) -> Vec<u8> {
    let mut bytes = vec![0; numbers.len() * E::SIZE];
    for (number, to) in numbers.iter().zip(bytes.chunks_exact_mut(E::SIZE)) {
        number.write(to);
    }
    bytes
}

fn numbers<E: Element>(bytes: &[u8]) -> Vec<E> {
    bytes.chunks_exact(E::SIZE).map(E::read).collect()
}

fn cast_to<A: Element, B: Element>(
    (from, given): (DType, &[A]),
    into: DType,
) -> Result<Vec<B>, Misfit> {
    let mut to = vec![0; given.len() * B::SIZE];
    cast((from, &bytes(given)), (into, &mut to))?;
    Ok(numbers(&to))
}

/// The nearest of 16 bits to a number, by trying all that are finite: of two as near the one with the even bits. `None`
/// where the number rounds beyond the largest.
fn nearest_half(number: f64, value: impl Fn(u16) -> f64, infinity: u16) -> Option<u16> {
    let largest = value(infinity - 1);
    let step = largest - value(infinity - 2);
    if number.abs() >= largest + step / 2.0 {
        return None;
    }
    let magnitude = |bits: &u16| (value(*bits) - number.abs()).abs();
    let best = (0..infinity).min_by(|a, b| {
        let by_distance = magnitude(a).total_cmp(&magnitude(b));
        by_distance.then((a & 1).cmp(&(b & 1)))
    });
    let sign = if number.is_sign_negative() { 0x8000 } else { 0 };
    best.map(|bits| bits | sign)
}

#[test]
fn halves_by_hand() {
    // 65519 is nearer to 65504, the largest; 65520 lies in the middle and would go to infinity.
    let fits = cast_to::<f32, f16>(
        (DType::Fp32, &[65519.0, -0.0, 1.0 + 1.0 / 2048.0]),
        DType::Fp16,
    );
    let bits: Vec<u16> = fits.unwrap().iter().map(|half| half.to_bits()).collect();
    assert_eq!(bits, [0x7bff, 0x8000, 0x3c00], "a tie goes to the even one");
    let over = cast_to::<f32, f16>((DType::Fp32, &[1.0, 65520.0]), DType::Fp16);
    assert_eq!(
        over,
        Err(Misfit {
            index: 1,
            value: Wide::Real(65520.0)
        })
    );
    let infinite = cast_to::<f64, f16>((DType::Fp64, &[f64::NEG_INFINITY]), DType::Fp16);
    assert_eq!(
        infinite.unwrap(),
        [f16::NEG_INFINITY],
        "what is infinite stays so"
    );
    let none = cast_to::<f32, bf16>((DType::Fp32, &[f32::NAN]), DType::Bf16);
    assert!(none.unwrap()[0].is_nan());
}

#[test]
fn a_tie_that_is_none_in_a_double_is_none_in_a_half() {
    // A little above the middle between 1 and the next half; a single would round it to the middle.
    let above = 1.0 + 1.0 / 2048.0 + 2_f64.powi(-40);
    let made = cast_to::<f64, f16>((DType::Fp64, &[above]), DType::Fp16);
    assert_eq!(made.unwrap()[0].to_bits(), 0x3c01);
    let made = cast_to::<i64, bf16>(
        (
            DType::I64,
            &[(257 << 50) + 1, -((257 << 50) + 1), 257 << 50],
        ),
        DType::Bf16,
    );
    let bits: Vec<u16> = made.unwrap().iter().map(|half| half.to_bits()).collect();
    let even = bf16::from_f64(256.0 * 2_f64.powi(50)).to_bits();
    assert_eq!(bits, [even + 1, (even + 1) | 0x8000, even]);
}

#[test]
fn whole_numbers_are_the_nearest_and_within_their_bounds() {
    let given = [0.5, 1.5, -0.4, 254.5, 255.49];
    let made = cast_to::<f64, u8>((DType::Fp64, &given), DType::U8);
    assert_eq!(made.unwrap(), [0, 2, 0, 254, 255]);
    let wrong = [-0.6, 255.5, f64::NAN, f64::INFINITY];
    let refused = wrong.map(|number| cast_to::<f64, u8>((DType::Fp64, &[number]), DType::U8));
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    let end = 9_223_372_036_854_775_808.0_f64;
    let made = cast_to::<f64, i64>((DType::Fp64, &[-end, end.next_down()]), DType::I64);
    assert_eq!(made.unwrap(), [i64::MIN, i64::MAX - 1023]);
    assert!(cast_to::<f64, i64>((DType::Fp64, &[end]), DType::I64).is_err());
    assert!(cast_to::<i64, i32>((DType::I64, &[1 << 31]), DType::I32).is_err());
    assert!(cast_to::<i32, u8>((DType::I32, &[-1]), DType::U8).is_err());
}

#[test]
fn every_half_survives_a_single_and_a_double() {
    let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let singles: Vec<f32> = cast_to((DType::Fp16, &all), DType::Fp32).unwrap();
    let back: Vec<f16> = cast_to((DType::Fp32, &singles), DType::Fp16).unwrap();
    let doubles: Vec<f64> = cast_to((DType::Fp16, &all), DType::Fp64).unwrap();
    let also: Vec<f16> = cast_to((DType::Fp64, &doubles), DType::Fp16).unwrap();
    let differs = |(a, (b, c)): (&f16, (&f16, &f16))| {
        let same = a.to_bits() == b.to_bits() && a.to_bits() == c.to_bits();
        !(same || a.is_nan() && b.is_nan() && c.is_nan())
    };
    let pairs = all.iter().zip(back.iter().zip(&also));
    assert_eq!(pairs.filter(|pair| differs(*pair)).count(), 0);
}

#[test]
fn a_misfit_behind_the_first_block_is_told_by_its_place() {
    let mut many = vec![1.0_f32; 3 * BLOCK];
    many[2 * BLOCK + 7] = 1e9;
    let told = cast_to::<f32, f16>((DType::Fp32, &many), DType::Fp16);
    assert_eq!(told.unwrap_err().index, 2 * BLOCK + 7);
}

proptest! {
    #[test]
    fn a_half_of_a_double_is_the_nearest_there_is(
        number in prop_oneof![-70_000.0..70_000.0_f64, -1e-4..1e-4_f64, -4.0..4.0_f64],
    ) {
        let made = cast_to::<f64, f16>((DType::Fp64, &[number]), DType::Fp16);
        let expected = nearest_half(number, |bits| f16::from_bits(bits).to_f64(), 0x7c00);
        prop_assert_eq!(made.ok().map(|made| made[0].to_bits()), expected);
    }

    #[test]
    fn a_brain_float_of_a_whole_number_is_the_nearest_there_is(number in any::<i64>()) {
        let made = cast_to::<i64, bf16>((DType::I64, &[number]), DType::Bf16).unwrap()[0];
        // Whole numbers all of them: exact in 128 bits.
        #[expect(clippy::cast_possible_truncation, reason = "a whole number of 64 bits")]
        let value = |half: bf16| half.to_f64() as i128;
        let apart = |half: bf16| (value(half) - i128::from(number)).abs();
        for neighbour in [made.to_bits().wrapping_sub(1), made.to_bits() + 1] {
            let other = bf16::from_bits(neighbour);
            if other.is_finite() && made.to_bits() & 0x7fff != 0 {
                let even = made.to_bits() & 1 == 0;
                prop_assert!(apart(made) < apart(other) || apart(made) == apart(other) && even);
            }
        }
    }

    #[test]
    fn a_block_is_converted_as_each_of_its_numbers(
        given in prop::collection::vec(-60_000.0..60_000.0_f32, 1..1200),
    ) {
        let block: Vec<f16> = cast_to((DType::Fp32, &given), DType::Fp16).unwrap();
        let single = given.iter().map(|number| f16::narrow(number.wide()).unwrap());
        prop_assert_eq!(block, single.collect::<Vec<_>>());
    }

    #[test]
    fn whole_numbers_survive_a_wider_type(given in prop::collection::vec(any::<i32>(), 0..40)) {
        for wider in [DType::I64, DType::Fp64] {
            let size = 8 * given.len();
            let mut wide = vec![0; size];
            cast((DType::I32, &bytes(&given)), (wider, &mut wide)).unwrap();
            let mut back = vec![0; 4 * given.len()];
            cast((wider, &wide), (DType::I32, &mut back)).unwrap();
            prop_assert_eq!(numbers::<i32>(&back), given.clone());
        }
    }
}
