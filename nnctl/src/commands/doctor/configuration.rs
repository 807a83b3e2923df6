//! The daemon's configuration, by the daemon's own word. Pure.

use super::facts::Facts;
use super::finding::Finding;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "configuration.file";
    let configuration = &facts.configuration;
    let file = match &configuration.file {
        Some(file) => file.display().to_string(),
        None => "no file, every key has its default".to_owned(),
    };
    vec![match &configuration.printed {
        None => Finding::unknown(ID, format!("{file}: there is no nn-daemon to check it")),
        Some(Ok(_)) => Finding::ok(ID, file),
        Some(Err(why)) => Finding::problem(
            ID,
            format!("{file}: {why}"),
            "nn-daemon(8) has the keys; nn-daemon --print-config prints a file with all of them",
        ),
    }]
}
