//! The tiny models of the checkout, changed at random: always the same changes for the same number.

use std::fs;
use std::path::Path;

use crate::{Bad, bad};

/// Kinds of changes.
const KINDS: u64 = 8;

/// Numbers that look random; xorshift, by Marsaglia.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound.max(1)).unwrap();
        usize::try_from(self.0 % bound).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// So many sets, each with a change of every kind for every model, in the order of the files' names.
pub(crate) fn all(sets: u32) -> Vec<Bad> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tiny");
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let models: Vec<(String, Vec<u8>)> = files
        .into_iter()
        .map(|file| {
            (
                file.file_stem().unwrap().to_str().unwrap().to_owned(),
                fs::read(&file).unwrap(),
            )
        })
        .collect();
    let mut all = Vec::new();
    for (index, (name, bytes)) in models.iter().enumerate() {
        let other = &models[(index + 1) % models.len()].1;
        for round in 0..KINDS * u64::from(sets) {
            let seed = (u64::try_from(index).unwrap() << 32) + round + 1;
            let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let changed = change(round % KINDS, bytes, other, &mut dice);
            all.push(bad(format!("{name}-changed-{round}"), changed, None));
        }
    }
    all
}

fn change(kind: u64, model: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = model.to_vec();
    let at = dice.below(bytes.len());
    match kind {
        // One bit, some bytes, many.
        0 | 1 => bytes[at] ^= 1 << dice.below(8),
        2 | 3 => (0..=dice.below(8)).for_each(|_| {
            let at = dice.below(model.len());
            bytes[at] = dice.byte();
        }),
        // A part gone; a part of another model in its place.
        4 => drop(bytes.drain(at..(at + dice.below(16)).min(model.len()))),
        5 => {
            let from = dice.below(other.len());
            let to = (from + dice.below(64)).min(other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
        // What may be a length or a dimension, made large.
        6 => bytes
            .splice(at..=at, [0xff, 0xff, 0xff, 0xff, 0x07])
            .for_each(drop),
        _ => bytes.truncate(at),
    }
    bytes
}
