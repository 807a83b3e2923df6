//! Against sorting.

use proptest::prelude::*;

use super::*;

fn of<E: Element>(numbers: &[E], len: usize, k: usize) -> (Vec<Wide>, Vec<u32>) {
    let mut bytes = vec![0; numbers.len() * E::SIZE];
    for (number, to) in numbers.iter().zip(bytes.chunks_exact_mut(E::SIZE)) {
        number.write(to);
    }
    let Largest { values, indices } = top_k::<E>(&bytes, len, k);
    let values = values
        .chunks_exact(E::SIZE)
        .map(|bytes| E::read(bytes).wide());
    (values.collect(), indices)
}

#[test]
fn of_equals_the_first_comes_first_and_no_number_last() {
    let (_, indices) = of(&[1.0_f32, f32::NAN, 3.0, 3.0, -0.0, 0.0], 6, 6);
    assert_eq!(indices, [2, 3, 0, 4, 5, 1]);
}

#[test]
fn each_row_has_its_own() {
    let (values, indices) = of(&[1_u8, 9, 5, 200, 0, 7], 3, 2);
    assert_eq!(indices, [1, 2, 0, 2]);
    assert_eq!(values, [9, 5, 200, 7].map(Wide::Int));
}

#[test]
fn no_rows_have_none() {
    assert_eq!(of::<f32>(&[], 5, 2), (Vec::new(), Vec::new()));
    assert_eq!(of::<f32>(&[], 0, 0), (Vec::new(), Vec::new()));
}

proptest! {
    #[test]
    fn the_largest_are_those_in_front_when_all_are_sorted(
        row in prop::collection::vec(-5..5_i32, 1..60),
        k in 1_usize..60,
    ) {
        let k = k.min(row.len());
        let mut sorted: Vec<(u32, i32)> = (0..).zip(row.iter().copied()).collect();
        // Stable: of equals the first stays in front.
        sorted.sort_by_key(|&(_, value)| -value);
        let (values, indices) = of(&row, row.len(), k);
        let expected = sorted[..k].iter();
        prop_assert_eq!(indices, expected.clone().map(|pair| pair.0).collect::<Vec<_>>());
        let expected = expected.map(|pair| Wide::Int(pair.1.into()));
        prop_assert_eq!(values, expected.collect::<Vec<_>>());
    }
}
