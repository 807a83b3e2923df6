//! docs/path.md follows one inference through functions: each step's are in the file that it names.

use std::path::Path;

use super::{Document, Finding, code};

const FILE: &str = "docs/path.md";

/// Checks the page, if it is there.
pub(crate) fn check(documents: &[Document]) -> Vec<Finding> {
    let page = documents.iter().find(|page| page.path == Path::new(FILE));
    let Some(page) = page else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        let mut cells = line.split(" | ").skip(1);
        let (Some(file), Some(functions)) = (cells.next(), cells.next()) else {
            continue;
        };
        if !file.ends_with(".rs") {
            continue;
        }
        let source = documents.iter().find(|one| one.path == Path::new(file));
        let source = source.map(|source| code::only(&source.text));
        for name in functions.split('`').skip(1).step_by(2) {
            let name = name.rsplit([':', '.']).next().unwrap_or(name);
            let is_there = |source: &String| {
                let begins = |rest: &str| rest.starts_with(['(', '<']);
                let found = format!("fn {name}");
                source.split(&found).skip(1).any(begins)
            };
            if !source.as_ref().is_some_and(is_there) {
                let text = format!("leads through `{name}`, which {file} does not have");
                findings.push(Finding::new(&page.path, index + 1, text));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(row: &str) -> usize {
        let page = format!("| # | file | function |\n|---|---|---|\n{row}\n");
        let source = "impl A {\n    fn run<T>(&self) {}\n}\n// fn gone() {}\nfn runs() {}";
        check(&[Document::of(FILE, &page), Document::of("a/b.rs", source)]).len()
    }

    #[test]
    fn a_step_through_what_is_there_is_right() {
        assert_eq!(findings("| 1 | a/b.rs | `A::run`, `runs` | what |"), 0);
    }

    #[test]
    fn a_function_or_file_that_went_is_found() {
        assert_eq!(findings("| 1 | a/b.rs | `run`, `gone` | what |"), 1);
        assert_eq!(findings("| 1 | a/c.rs | `run` | what |"), 1);
        assert_eq!(findings("| 1 | a/b.rs | `ru` | what |"), 1);
    }
}
