//! Rules for each Rust file: how it opens, how long it is, where `unsafe` and `cfg(feature)` may stand.

use std::ffi::OsStr;
use std::path::Path;

use super::{Document, Finding, code};

const LINES_MAX: usize = 400;

/// The only modules with unsafe code. A folder ends in a slash.
const UNSAFE_IN: [&str; 8] = [
    "shm/src/map.rs",
    "shm/src/fds.rs",
    "nn-daemon/spawner/src/clone.rs",
    "nn-daemon/sandbox/src/step/",
    "nn-daemon/worker-base/src/memory.rs",
    "service/src/inherit.rs",
    "/ffi.rs",
    "nn-daemon/backend/openvino/src/ffi/",
];

/// The only modules that choose by feature.
const FEATURES_IN: [&str; 3] = [
    "guests/nn-guest/src/lib.rs",
    "nn-daemon/worker/src/select.rs",
    "nn-daemon/backend/src/lib.rs",
];

/// Checks one file, if it is Rust and written by hand.
pub(crate) fn check(document: &Document) -> Vec<Finding> {
    if !document.is("rs") || is_generated(&document.path) {
        return Vec::new();
    }
    let path = &document.path;
    let mut findings = Vec::new();
    if !document.text.starts_with("//!") {
        findings.push(Finding::new(
            path,
            1,
            "expected to open with `//!`: what the file is",
        ));
    }
    if path.file_name().is_some_and(|name| name == "mod.rs") {
        findings.push(Finding::new(
            path,
            1,
            "expected `foo.rs` beside `foo/`, not `foo/mod.rs`",
        ));
    }
    if !is_test(path) {
        let lines = production_lines(&document.text);
        if lines > LINES_MAX {
            let text = format!("{lines} lines before the tests, expected at most {LINES_MAX}");
            findings.push(Finding::new(path, LINES_MAX + 1, text));
        }
    }
    for (index, line) in code::only(&document.text).lines().enumerate() {
        if code::has_word(line, "unsafe") && !may(path, &UNSAFE_IN) {
            let text = "`unsafe` outside the modules that may have it (xtask/src/tidy/source.rs)";
            findings.push(Finding::new(path, index + 1, text));
        }
        if line.contains("cfg(feature") && !may(path, &FEATURES_IN) {
            let text = "`cfg(feature)` outside the modules that choose by feature";
            findings.push(Finding::new(path, index + 1, text));
        }
    }
    findings
}

/// How many lines there are before the unit tests.
fn production_lines(text: &str) -> usize {
    let lines = text.lines().count();
    text.lines()
        .position(|line| line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test"))
        .unwrap_or(lines)
}

fn may(path: &Path, places: &[&str]) -> bool {
    let path = path.to_string_lossy();
    places.iter().any(|place| match place {
        folder if folder.ends_with('/') => path.starts_with(folder),
        anywhere if anywhere.starts_with('/') => path.ends_with(anywhere),
        file => path == *file,
    })
}

fn is_generated(path: &Path) -> bool {
    path.to_string_lossy().contains("src/gen/")
}

/// Files of tests only: `foo/tests.rs`, what lies in `src/…/tests/`, and a package's `tests/*.rs`.
fn is_test(path: &Path) -> bool {
    let folders: Vec<&OsStr> = path.iter().rev().skip(1).collect();
    let depth_in_src = folders.iter().position(|folder| *folder == "src");
    // Without a source folder above it, only the folder that it lies in says what the file is.
    let deciding = folders.iter().take(depth_in_src.unwrap_or(1));
    path.file_stem().is_some_and(|stem| stem == "tests")
        || deciding.into_iter().any(|folder| *folder == "tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&Document::of(path, text))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn file_without_opening_words_is_found() {
        assert_eq!(
            findings("a/src/b.rs", "use std;\n"),
            ["a/src/b.rs:1: expected to open with `//!`: what the file is"]
        );
    }

    #[test]
    fn lines_of_unit_tests_do_not_count() {
        let text = format!("//! A.\n#[cfg(test)]\n{}", "// test\n".repeat(500));
        assert!(findings("a/src/b.rs", &text).is_empty());
    }

    #[test]
    fn long_file_is_found() {
        let text = format!("//! A.\n{}", "// line\n".repeat(400));
        assert_eq!(
            findings("a/src/b.rs", &text),
            ["a/src/b.rs:401: 401 lines before the tests, expected at most 400"]
        );
    }

    #[test]
    fn long_generated_or_test_file_is_not_found() {
        let text = format!("//! A.\n{}", "// line\n".repeat(400));
        assert!(findings("proto/src/gen/nn.v1.rs", &text).is_empty());
        assert!(findings("a/src/b/tests.rs", &text).is_empty());
        assert!(findings("tests/infer.rs", &text).is_empty());
        assert!(findings("a/tests/b.rs", &text).is_empty());
    }

    #[test]
    fn long_program_of_the_tests_is_found() {
        let text = format!("//! A.\n{}", "// line\n".repeat(400));
        assert_eq!(findings("tests/worker-fake/src/main.rs", &text).len(), 1);
    }

    #[test]
    fn unsafe_is_found_with_its_line_unless_the_module_is_listed() {
        let text = "//! A.\n\nunsafe fn f() {}\n";
        assert_eq!(findings("a/src/b.rs", text).len(), 1);
        assert!(
            findings("a/src/b.rs", text)
                .concat()
                .starts_with("a/src/b.rs:3: `unsafe`")
        );
        assert!(findings("shm/src/map.rs", text).is_empty());
        assert!(findings("nn-daemon/sandbox/src/step/caps.rs", text).is_empty());
        assert!(findings("nn-daemon/backend/ort/src/ffi.rs", text).is_empty());
    }

    #[test]
    fn mod_rs_is_found() {
        assert_eq!(findings("a/src/b/mod.rs", "//! A.\n").len(), 1);
    }
}
