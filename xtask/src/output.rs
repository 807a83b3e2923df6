//! The only place that prints: results to stdout, talk to stderr.
//!
//! A closed pipe (`cargo xtask … | head`) is no reason to panic, so nothing here uses `println!`.

use std::io::Write as _;

/// Writes a line of result.
pub(crate) fn data(line: &str) {
    let _closed_pipe = writeln!(std::io::stdout(), "{line}");
}

/// Writes a line of talk: what is done and why, and what went wrong.
pub(crate) fn talk(line: &str) {
    let _closed_pipe = writeln!(std::io::stderr(), "{line}");
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    const KIB: u64 = 1 << 10;
    match bytes {
        MIB.. => format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
        KIB.. => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} bytes"),
    }
}

/// An error with its causes, a line each, and what to do about it last: the part of a message after `hint: `.
pub(crate) fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut hints = String::new();
    for cause in error.chain() {
        let message = cause.to_string();
        let (what, hint) = match message.split_once("\nhint: ") {
            Some((what, hint)) => (what, Some(hint)),
            None => (message.as_str(), None),
        };
        if !text.is_empty() {
            text.push_str("\n  because: ");
        }
        text.push_str(&what.replace('\n', "\n    "));
        if let Some(hint) = hint {
            hints.push_str("\nhint: ");
            hints.push_str(hint);
        }
    }
    text + &hints
}

#[cfg(test)]
mod tests {
    use super::{explain, size};

    #[test]
    fn error_is_told_from_its_end_to_its_cause_with_hints_last() {
        let cause = anyhow::anyhow!("pip failed\nno network\nhint: check the network");
        let error = cause.context("the model is not there\nhint: try again");
        assert_eq!(
            explain(&error),
            "the model is not there\n  because: pip failed\n    no network\n\
             hint: try again\nhint: check the network"
        );
    }

    #[test]
    fn size_is_given_in_the_unit_that_fits() {
        assert_eq!(size(12), "12 bytes");
        assert_eq!(size(2048), "2 KiB");
        assert_eq!(size(18_540_483), "17.6 MiB");
    }
}
