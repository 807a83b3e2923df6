//! The framework: which library there is, and whether it is one to be trusted with models of others. Pure.

use std::path::Path;

use super::facts::Facts;
use super::finding::Finding;

/// The release that everything was tested with.
const TESTED: (u32, u32) = (1, 28);

const FETCH: &str = "install libonnxruntime.so.1.28.0 to PREFIX/lib/nn-daemon/runtimes/onnxruntime, or name it by \
                     runtimes.onnxruntime or NN_RUNTIMES; in a checkout, `cargo xtask setup` fetches it";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "runtimes.onnxruntime";
    let told = facts.status().map(|status| {
        let mut runtimes = status.runtimes.iter();
        runtimes.find(|runtime| runtime.backend == "onnxruntime")
    });
    vec![match told {
        Some(Some(runtime)) if runtime.available => {
            library(Path::new(&runtime.detail), "in use", facts.library_there)
        }
        Some(Some(runtime)) => Finding::problem(ID, runtime.detail.clone(), FETCH),
        Some(None) => Finding::unknown(ID, "the daemon does not tell of it"),
        None => match facts.printed().map(|printed| &printed.onnxruntime) {
            None => Finding::unknown(ID, "neither a daemon nor its configuration tells of it"),
            Some(None) => Finding::problem(ID, "nn-daemon finds none", FETCH),
            Some(Some(path)) => library(path, "found", facts.library_there),
        },
    }]
}

fn library(path: &Path, how: &str, there: Option<bool>) -> Finding {
    const ID: &str = "runtimes.onnxruntime";
    let shown = path.display();
    if there == Some(false) {
        return Finding::problem(ID, format!("{shown} is not there"), FETCH);
    }
    match version(path) {
        None => Finding::unknown(ID, format!("{shown} is {how}; its name tells no version")),
        Some(found) if found < TESTED => Finding::problem(
            ID,
            format!("{shown} is {how}; a model can read files and memory of its process there"),
            "1.28.0",
        ),
        Some(found) if found > TESTED => Finding::warning(
            ID,
            format!("{shown} is {how}; nothing was tested with it"),
            "1.28.0",
        ),
        Some(_) => Finding::ok(ID, format!("{shown}, {how}")),
    }
}

/// `1.28` of `libonnxruntime.so.1.28.0`.
fn version(path: &Path) -> Option<(u32, u32)> {
    let name = path.file_name()?.to_str()?;
    let mut parts = name.strip_prefix("libonnxruntime.so.")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
