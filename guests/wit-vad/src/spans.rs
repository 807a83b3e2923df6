//! Probabilities of speech, frame by frame, to when somebody speaks. Pure.

use std::ops::Range;

/// Speech begins with a frame of at least this.
const BEGINS: f32 = 0.5;

/// It ends with a frame below this: lower, so that a breath does not cut a sentence in two.
const ENDS: f32 = 0.35;

/// The frames in which somebody speaks.
pub(crate) fn of(probabilities: &[f32]) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut begun = None;
    for (index, &probability) in probabilities.iter().enumerate() {
        match begun {
            None if probability >= BEGINS => begun = Some(index),
            Some(start) if probability < ENDS => {
                spans.push(start..index);
                begun = None;
            }
            None | Some(_) => {}
        }
    }
    spans.extend(begun.map(|start| start..probabilities.len()));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breath_does_not_end_speech_and_silence_does() {
        let spans = of(&[0.1, 0.4, 0.9, 0.4, 0.8, 0.3, 0.4, 0.5, 0.1]);
        assert_eq!(spans.as_slice(), [2..5, 7..8]);
    }

    #[test]
    fn speech_until_the_end_ends_there() {
        assert_eq!(of(&[0.5, 0.0, 0.7, 0.9]).as_slice(), [0..1, 2..4]);
        assert_eq!(of(&[]).as_slice(), []);
    }
}
