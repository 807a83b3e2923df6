//! Words that no file of the project may hold: where one machine keeps things, and which registry it asks.
//!
//! Both are the user's: a checkout may lie anywhere, and packages may come by a mirror.

use super::{Document, Finding};

/// Written in parts, so that this file does not hold them itself.
const HOSTS: [&[&str]; 6] = [
    &["crates", "io"],
    &["pypi", "org"],
    &["files", "pythonhosted", "org"],
    &["registry", "npmjs", "org"],
    &["deb", "debian", "org"],
    &["proxy", "golang", "org"],
];
const FOLDERS: [&[&str]; 2] = [&["", "work", ""], &["", "root", ""]];

/// Checks one file, if it is not a lock file: those name registries, and cargo writes them.
pub(crate) fn check(document: &Document) -> Vec<Finding> {
    if document.is("lock") {
        return Vec::new();
    }
    let hosts = HOSTS.map(|parts| parts.join("."));
    let folders = FOLDERS.map(|parts| parts.join("/"));
    let mut findings = Vec::new();
    for (index, line) in document.text.lines().enumerate() {
        for host in hosts.iter().filter(|host| line.contains(host.as_str())) {
            let text = format!("names the registry {host}: leave that to the user's configuration");
            findings.push(Finding::new(&document.path, index + 1, text));
        }
        for folder in folders.iter().filter(|folder| begins_a_path(line, folder)) {
            let text = format!("holds a path of one machine, {folder}…");
            findings.push(Finding::new(&document.path, index + 1, text));
        }
    }
    findings
}

/// Whether the folder stands at the beginning of a path, as in `"/a/`, not in its middle, as in `b/a/`.
fn begins_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(start, _)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        !before.is_some_and(|found| found.is_alphanumeric() || "._-*}~$".contains(found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_is_found() {
        let line = format!("a\nhttps://{}/simple\n", HOSTS[1].join("."));
        let findings = check(&Document::of("a.md", &line));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 2);
    }

    #[test]
    fn absolute_path_is_found_and_a_relative_one_is_not() {
        let folder = FOLDERS[0].join("/");
        assert_eq!(
            check(&Document::of("a.md", &format!("`{folder}a`"))).len(),
            1
        );
        assert!(check(&Document::of("a.md", &format!("target{folder}a"))).is_empty());
    }

    #[test]
    fn lock_file_may_name_its_registry() {
        assert!(check(&Document::of("Cargo.lock", &HOSTS[0].join("."))).is_empty());
    }
}
