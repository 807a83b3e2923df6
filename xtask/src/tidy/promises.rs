//! Every promise of SPECIFICATION.md names its test or bench, and that exists; so does every test in the last column of
//! the tables of docs/threat-model.md.
//!
//! A name is a word in backticks, of lower-case letters, digits and at least two underscores, perhaps with the path to
//! it: `infer::load_with_wrong_digest_is_refused`.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Document, Finding, code};

const FILE: &str = "SPECIFICATION.md";
const THREATS: &str = "docs/threat-model.md";

/// Checks the files that are there.
pub(crate) fn check(documents: &[Document]) -> Vec<Finding> {
    let functions = functions(documents);
    let mut findings = Vec::new();
    for document in documents.iter().filter(|document| {
        [FILE, THREATS]
            .map(Path::new)
            .contains(&document.path.as_path())
    }) {
        for (index, line) in document.text.lines().enumerate() {
            let promise = if document.path == Path::new(FILE) {
                line
            } else {
                last_cell(line)
            };
            for name in names(promise).filter(|name| !functions.contains(*name)) {
                let text = format!("promises by the test `{name}`, which does not exist");
                findings.push(Finding::new(&document.path, index + 1, text));
            }
        }
    }
    findings
}

/// What stands in the last column of a row; of other lines nothing.
fn last_cell(line: &str) -> &str {
    let row = line
        .trim_end()
        .strip_prefix('|')
        .and_then(|row| row.strip_suffix('|'));
    row.and_then(|row| row.rsplit(" | ").next())
        .unwrap_or_default()
}

/// The names of tests in a line, without the path to them.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|word| word.rsplit("::").next())
        .filter(|name| {
            let is_plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            name.bytes().all(is_plain) && name.matches('_').count() >= 2
        })
}

/// The names of all functions.
fn functions(documents: &[Document]) -> BTreeSet<String> {
    documents
        .iter()
        .filter(|document| document.is("rs"))
        .flat_map(|document| {
            code::only(&document.text)
                .lines()
                .filter_map(|line| {
                    let (_, after) = line.split_once("fn ")?;
                    let end = after.find(|found: char| !found.is_alphanumeric() && found != '_')?;
                    after.get(..end).map(str::to_owned)
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_column_of_threats_names_tests() {
        assert_eq!(
            last_cell("| 1 | `process_vm_readv` | `a_test_of_it` |"),
            "`a_test_of_it` "
        );
        assert_eq!(last_cell("see `process_vm_readv`"), "");
    }

    fn findings(specification: &str) -> Vec<Finding> {
        check(&[
            Document::of(FILE, specification),
            Document::of(
                "a.rs",
                "async fn guest_sees_timeout() {}\n// fn old_test_is_gone() {}",
            ),
        ])
    }

    #[test]
    fn promise_with_its_test_is_right() {
        assert!(findings("| 5 s | `infer::guest_sees_timeout` |").is_empty());
    }

    #[test]
    fn promise_without_its_test_is_found() {
        let found = findings("# Promises\n| 5 s | `old_test_is_gone` |");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 2);
    }

    #[test]
    fn other_words_in_backticks_are_not_tests() {
        assert!(findings("`nn-daemon` reads `timeout_us` from `[limits]`").is_empty());
    }
}
