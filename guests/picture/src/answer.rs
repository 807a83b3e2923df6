//! A row of probabilities to lines for a person: `1  967  0.940  espresso`.

use std::fmt::Write as _;

use thiserror::Error;

const RANKS: usize = 5;

/// A class, and how likely it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likely<'a> {
    /// Its place in the model's output.
    pub class: usize,
    /// From 0 to 1.
    pub probability: f32,
    /// What people call it.
    pub label: &'a str,
}

/// The labels belong to another model.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{labels} labels for a model with {classes} classes")]
pub struct LabelsMismatch {
    labels: usize,
    classes: usize,
}

/// The five likeliest classes, one a line.
pub(crate) fn top_five(probabilities: &[f32], labels: &str) -> Result<String, LabelsMismatch> {
    let mut lines = String::new();
    for (rank, likely) in (1..).zip(ranked(probabilities, labels)?) {
        let Likely {
            class,
            probability,
            label,
        } = likely;
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{rank}  {class}  {probability:.3}  {label}");
    }
    Ok(lines)
}

/// The five likeliest classes. Of equals, the lower class comes first.
pub(crate) fn ranked<'a>(
    probabilities: &[f32],
    labels: &'a str,
) -> Result<Vec<Likely<'a>>, LabelsMismatch> {
    let labels: Vec<&str> = labels.lines().collect();
    if labels.len() != probabilities.len() {
        return Err(LabelsMismatch {
            labels: labels.len(),
            classes: probabilities.len(),
        });
    }
    let mut classes: Vec<Likely<'_>> = probabilities
        .iter()
        .zip(labels)
        .enumerate()
        .map(|(class, (&probability, label))| Likely {
            class,
            probability,
            label,
        })
        .collect();
    classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    classes.truncate(RANKS);
    Ok(classes)
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
