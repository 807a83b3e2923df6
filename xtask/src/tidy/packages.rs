//! Rules for each Cargo.toml of a package: lints are the workspace's, and a version of an outside crate stands once.

use toml::{Table, Value};

use super::{Document, Finding};

const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks one file, if it belongs to a package of the workspace. Guests and in-process benches are their own.
pub(crate) fn check(document: &Document) -> Vec<Finding> {
    let own = ["guests", "benches/inproc", "fuzz"];
    let is_own = own.iter().any(|folder| document.path.starts_with(folder))
        || document
            .path
            .parent()
            .is_some_and(|folder| folder.ends_with("fuzz"));
    if is_own
        || document
            .path
            .file_name()
            .is_none_or(|name| name != "Cargo.toml")
    {
        return Vec::new();
    }
    let manifest = match document.text.parse::<Table>() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(&document.path, 1, error.message())],
    };
    if !manifest.contains_key("package") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let lints = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    if lints != Some(&Value::Boolean(true)) {
        findings.push(Finding::new(
            &document.path,
            1,
            "expected `[lints] workspace = true`",
        ));
    }
    for table in TABLES {
        let Some(Value::Table(dependencies)) = manifest.get(table) else {
            continue;
        };
        for (name, dependency) in dependencies {
            if dependency.get("workspace") != Some(&Value::Boolean(true)) {
                let text =
                    format!("{name}: expected `workspace = true`; versions stand in the root only");
                findings.push(Finding::new(
                    &document.path,
                    line_of(&document.text, name),
                    text,
                ));
            }
        }
    }
    findings
}

/// The line where a key is set, or the first.
pub(crate) fn line_of(text: &str, key: &str) -> usize {
    let sets = |line: &str| {
        let rest = line.trim_start().strip_prefix(key)?;
        rest.starts_with(['.', ' ', '=']).then_some(())
    };
    text.lines()
        .position(|line| sets(line).is_some())
        .map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str =
        "[package]\nname = \"a\"\n[dependencies]\nb.workspace = true\n[lints]\nworkspace = true\n";

    #[test]
    fn right_manifest_has_no_findings() {
        assert!(check(&Document::of("a/Cargo.toml", RIGHT)).is_empty());
    }

    #[test]
    fn own_version_is_found_with_its_line() {
        let text = RIGHT.replace("b.workspace = true", "b = \"1\"");
        let findings = check(&Document::of("a/Cargo.toml", &text));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 4);
    }

    #[test]
    fn missing_lints_are_found() {
        let text = RIGHT.replace("[lints]\nworkspace = true\n", "");
        assert_eq!(check(&Document::of("a/Cargo.toml", &text)).len(), 1);
    }
}
