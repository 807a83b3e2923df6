//! Against the definition, in doubles.

use proptest::prelude::*;

use super::*;

fn of<T: Real>(numbers: &[T], along: Along) -> Vec<f64> {
    let mut bytes = vec![0; numbers.len() * T::SIZE];
    for (number, to) in numbers.iter().zip(bytes.chunks_exact_mut(T::SIZE)) {
        number.write(to);
    }
    softmax::<T>(&mut bytes, along);
    bytes
        .chunks_exact(T::SIZE)
        .map(|bytes| T::read(bytes).number())
        .collect()
}

const ROW: Along = Along { len: 3, stride: 1 };

#[test]
fn scores_by_hand() {
    let made = of(&[2_f64.ln(), 0.0, 5_f64.ln()], ROW);
    let apart = made
        .iter()
        .zip([0.25, 0.125, 0.625])
        .map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f64::max) < 1e-15, "{made:?}");
}

#[test]
fn scores_that_no_power_can_take_are_probabilities_still() {
    assert_eq!(
        of(&[10_000.0_f32, 10_000.0, -10_000.0], ROW),
        [0.5, 0.5, 0.0]
    );
}

#[test]
fn another_dimension_than_the_last_is_meant_by_its_stride() {
    // Two rows of two columns: each column is one.
    let along = Along { len: 2, stride: 2 };
    let made = of(&[0.0_f64, 3_f64.ln(), 0.0, 0.0], along);
    let apart = made
        .iter()
        .zip([0.5, 0.75, 0.5, 0.25])
        .map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f64::max) < 1e-15, "{made:?}");
}

#[test]
fn nothing_becomes_nothing() {
    assert!(of::<f32>(&[], Along { len: 0, stride: 1 }).is_empty());
    assert!(of::<f32>(&[], Along { len: 3, stride: 0 }).is_empty());
}

proptest! {
    #[test]
    fn singles_are_close_to_the_definition(scores in prop::collection::vec(-30.0..30.0_f32, 1..200)) {
        let made = of(&scores, Along { len: scores.len(), stride: 1 });
        let powers: Vec<f64> = scores.iter().map(|score| f64::from(*score).exp()).collect();
        let sum: f64 = powers.iter().sum();
        for (made, power) in made.iter().zip(&powers) {
            prop_assert!((made - power / sum).abs() <= 1e-5 * (power / sum) + 1e-12);
        }
        prop_assert!((made.iter().sum::<f64>() - 1.0).abs() < 1e-5);
    }
}
