//! Sentences of unequal length side by side, and what becomes of the model's answer to them. Pure arithmetic.

use thiserror::Error;

/// Token ids of several sentences, padded to the longest, with a mask that says which are real.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    rows: usize,
    columns: usize,
    /// What each token is.
    pub ids: Vec<i64>,
    /// 1 for a token, 0 for padding.
    pub mask: Vec<i64>,
}

/// The model is not a sentence encoder of the kind these guests know.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the model's output has the dimensions {got:?}, not [{rows}, {columns}, vector]")]
pub struct OutputMismatch {
    got: Vec<u32>,
    rows: usize,
    columns: usize,
}

/// How alike two vectors are: 1 for the same direction, 0 for nothing in common, and for a vector of zeros.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    if cosine.is_finite() { cosine } else { 0.0 }
}

// === impl Batch ===

impl Batch {
    /// Pads with token 0, which is `[PAD]` in every vocabulary of this family; the mask makes its value irrelevant.
    #[must_use]
    pub fn new(sentences: impl Iterator<Item = Vec<i64>>) -> Self {
        let sentences: Vec<Vec<i64>> = sentences.collect();
        let rows = sentences.len();
        let columns = sentences.iter().map(Vec::len).max().unwrap_or_default();
        let mut ids = Vec::with_capacity(rows * columns);
        let mut mask = Vec::with_capacity(rows * columns);
        for sentence in &sentences {
            let padding = columns - sentence.len();
            ids.extend(sentence);
            ids.extend(std::iter::repeat_n(0, padding));
            mask.extend(std::iter::repeat_n(1, sentence.len()));
            mask.extend(std::iter::repeat_n(0, padding));
        }
        Self {
            rows,
            columns,
            ids,
            mask,
        }
    }

    /// Sentences, and tokens of the longest.
    #[must_use]
    pub fn dimensions(&self) -> [u32; 2] {
        [self.rows, self.columns].map(|extent| u32::try_from(extent).unwrap_or(u32::MAX))
    }

    /// The mean of the vectors of each sentence's real tokens.
    ///
    /// # Errors
    /// When the model gave no vector for each token.
    pub fn pool(
        &self,
        dimensions: &[u32],
        output: &[f32],
    ) -> Result<Vec<Vec<f32>>, OutputMismatch> {
        let width = self
            .vector_len(dimensions, output)
            .ok_or_else(|| OutputMismatch {
                got: dimensions.to_vec(),
                rows: self.rows,
                columns: self.columns,
            })?;
        let rows = output
            .chunks_exact(self.columns * width)
            .zip(self.mask.chunks_exact(self.columns));
        Ok(rows
            .map(|(tokens, mask)| mean(tokens, mask, width))
            .collect())
    }

    fn vector_len(&self, dimensions: &[u32], output: &[f32]) -> Option<usize> {
        let [rows, columns] = self.dimensions();
        match *dimensions {
            [r, c, width] if r == rows && c == columns && width > 0 => {
                let width = usize::try_from(width).ok()?;
                let len = self.rows.checked_mul(self.columns)?.checked_mul(width)?;
                (len > 0 && output.len() == len).then_some(width)
            }
            _ => None,
        }
    }
}

fn mean(tokens: &[f32], mask: &[i64], width: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; width];
    let mut count = 0.0_f32;
    for (token, _) in tokens
        .chunks_exact(width)
        .zip(mask)
        .filter(|&(_, &real)| real == 1)
    {
        sum.iter_mut()
            .zip(token)
            .for_each(|(sum, value)| *sum += value);
        count += 1.0;
    }
    sum.iter().map(|sum| sum / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch::new([vec![101, 7, 102], vec![101, 102]].into_iter())
    }

    #[test]
    fn short_sentence_is_padded_and_masked() {
        assert_eq!(batch().ids, [101, 7, 102, 101, 102, 0]);
        assert_eq!(batch().mask, [1, 1, 1, 1, 1, 0]);
        assert_eq!(batch().dimensions(), [2, 3]);
    }

    #[test]
    fn padding_does_not_count_in_the_mean() {
        let vectors = batch().pool(&[2, 3, 1], &[1.0, 2.0, 6.0, 1.0, 2.0, 900.0]);
        assert_eq!(vectors, Ok(vec![vec![3.0], vec![1.5]]));
    }

    #[test]
    fn output_of_another_rank_is_refused() {
        assert!(batch().pool(&[2, 3], &[0.0; 6]).is_err());
    }

    #[test]
    fn output_shorter_than_its_dimensions_is_refused() {
        assert!(batch().pool(&[2, 3, 4], &[0.0; 6]).is_err());
    }

    #[test]
    fn cosine_is_of_the_direction_alone() {
        assert_eq!(cosine(&[1.0, 0.0], &[2.0, 0.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 3.0]), 0.0);
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 3.0]), 0.0);
    }
}
