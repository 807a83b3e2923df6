//! A row of probabilities to lines for a person: `1  967  0.940  espresso`.

use std::fmt::Write as _;

use thiserror::Error;

const RANKS: usize = 5;

/// The labels belong to another model.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{labels} labels for a model with {classes} classes")]
pub(crate) struct LabelsMismatch {
    labels: usize,
    classes: usize,
}

/// The five likeliest classes, one a line. Of equals, the lower class comes first.
pub(crate) fn top_five(probabilities: &[f32], labels: &str) -> Result<String, LabelsMismatch> {
    let labels: Vec<&str> = labels.lines().collect();
    if labels.len() != probabilities.len() {
        return Err(LabelsMismatch {
            labels: labels.len(),
            classes: probabilities.len(),
        });
    }
    let mut classes: Vec<(usize, f32, &str)> = probabilities
        .iter()
        .zip(labels)
        .enumerate()
        .map(|(class, (&probability, label))| (class, probability, label))
        .collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));

    let mut lines = String::new();
    for (rank, (class, probability, label)) in (1..=RANKS).zip(classes) {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{rank}  {class}  {probability:.3}  {label}");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeliest_come_first_and_equals_in_order() {
        let lines = top_five(&[0.1, 0.5, 0.1, 0.05, 0.2, 0.05], "a\nb\nc\nd\ne\nf\n");
        let expected =
            "1  1  0.500  b\n2  4  0.200  e\n3  0  0.100  a\n4  2  0.100  c\n5  3  0.050  d\n";
        assert_eq!(lines.as_deref(), Ok(expected));
    }

    #[test]
    fn fewer_classes_than_ranks_make_fewer_lines() {
        assert_eq!(
            top_five(&[1.0], "only").as_deref(),
            Ok("1  0  1.000  only\n")
        );
    }

    #[test]
    fn labels_of_another_model_are_refused() {
        let expected = LabelsMismatch {
            labels: 1,
            classes: 2,
        };
        assert_eq!(top_five(&[0.5, 0.5], "one"), Err(expected));
    }
}
