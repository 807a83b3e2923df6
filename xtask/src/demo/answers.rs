//! Is what a guest printed the known answer? Pure: text in, verdict out.

use anyhow::{Context as _, Result, bail};

use crate::manifest::Answer;

/// A line of the classifying guest: `1  967  0.940  espresso`.
#[derive(Debug, PartialEq)]
struct Guess<'a> {
    class: usize,
    probability: f64,
    label: &'a str,
}

/// Checks the likeliest class, and returns it as a person reads it.
///
/// # Errors
/// When nothing like it was printed, or it is another.
pub(crate) fn check_class(said: &str, answer: &Answer) -> Result<String> {
    let guess = said
        .lines()
        .find_map(parse_guess)
        .with_context(|| format!("expected `RANK CLASS PROBABILITY LABEL`, got {said:?}"))?;
    let class = answer.class.context("the known answer has no class")?;
    let label = answer.label.as_deref().unwrap_or_default();
    if (guess.class, guess.label) != (class, label) || !is_near(guess.probability, answer) {
        bail!(
            "expected {class} {label} {:.3} ± {}, got {} {} {:.3}",
            answer.value,
            answer.tolerance,
            guess.class,
            guess.label,
            guess.probability
        );
    }
    Ok(format!("{class} {label} {:.3}", guess.probability))
}

/// Checks the cosine of two sentences, and returns it as a person reads it.
///
/// # Errors
/// When no line is about the two, or the cosine is another.
pub(crate) fn check_cosine(said: &str, answer: &Answer) -> Result<String> {
    let line = said
        .lines()
        .find(|line| answer.given.iter().all(|sentence| line.contains(sentence)))
        .with_context(|| format!("expected a line with both sentences, got {said:?}"))?;
    let cosine = line
        .split_whitespace()
        .find_map(|word| word.parse::<f64>().ok())
        .with_context(|| format!("expected `COSINE  SENTENCE | SENTENCE`, got {line:?}"))?;
    if !is_near(cosine, answer) {
        bail!(
            "expected {:.3} ± {}, got {cosine:.3}",
            answer.value,
            answer.tolerance
        );
    }
    Ok(line.trim().to_owned())
}

fn parse_guess(line: &str) -> Option<Guess<'_>> {
    let (rank, rest) = line.trim().split_once(char::is_whitespace)?;
    rank.parse::<usize>().ok().filter(|rank| *rank == 1)?;
    let (class, rest) = rest.trim_start().split_once(char::is_whitespace)?;
    let (probability, label) = rest.trim_start().split_once(char::is_whitespace)?;
    Some(Guess {
        class: class.parse().ok()?,
        probability: probability.parse().ok()?,
        label: label.trim(),
    })
}

fn is_near(value: f64, answer: &Answer) -> bool {
    // Not-a-number is near nothing.
    (value - answer.value).abs() <= answer.tolerance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn espresso() -> Answer {
        Answer {
            given: vec!["coffee.png".into()],
            class: Some(967),
            label: Some("espresso".into()),
            value: 0.94,
            tolerance: 0.02,
        }
    }

    fn meal() -> Answer {
        Answer {
            given: vec!["A man eats.".into(), "A meal.".into()],
            class: None,
            label: None,
            value: -0.05,
            tolerance: 0.02,
        }
    }

    #[test]
    fn known_class_is_right() {
        let said = "1  967  0.940  espresso\n2  968  0.017  cup\n";
        assert_eq!(
            check_class(said, &espresso()).unwrap(),
            "967 espresso 0.940"
        );
    }

    #[test]
    fn other_class_is_wrong_and_says_what_came() {
        let error = check_class("1  968  0.940  cup\n", &espresso())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "expected 967 espresso 0.940 ± 0.02, got 968 cup 0.940"
        );
    }

    #[test]
    fn unlikely_or_absurd_probability_is_wrong() {
        assert!(check_class("1  967  0.700  espresso\n", &espresso()).is_err());
        assert!(check_class("1  967  NaN  espresso\n", &espresso()).is_err());
    }

    #[test]
    fn silence_is_wrong() {
        assert!(check_class("", &espresso()).is_err());
        assert!(check_cosine("", &meal()).is_err());
    }

    #[test]
    fn cosine_is_found_by_its_sentences() {
        let said = "0.9  A | B\n-0.054  A man eats. | A meal.\n";
        assert_eq!(
            check_cosine(said, &meal()).unwrap(),
            "-0.054  A man eats. | A meal."
        );
    }

    #[test]
    fn other_cosine_is_wrong() {
        assert!(check_cosine("0.054  A man eats. | A meal.\n", &meal()).is_err());
    }
}
