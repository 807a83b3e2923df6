//! The frameworks: which libraries there are, and whether they are ones to be trusted with models of others. Pure.

use std::path::Path;

use nn_proto::v1::RuntimeStatus;

use super::facts::Facts;
use super::finding::Finding;

/// The release that everything was tested with.
const TESTED: (u32, u32) = (1, 28);

const FETCH: &str = "install libonnxruntime.so.1.28.0 to PREFIX/lib/nn-daemon/runtimes/onnxruntime, or name it by \
                     runtimes.onnxruntime or NN_RUNTIMES; in a checkout, `cargo xtask setup` fetches it";

/// The release of OpenVINO that everything was tested with, as its library's name has it.
const OPENVINO_TESTED: u32 = 2641;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    vec![onnxruntime(facts), openvino(facts)]
}

/// What the daemon says of a runtime; the outer `None` where there is no daemon, the inner where it says nothing.
fn told<'a>(facts: &'a Facts, backend: &str) -> Option<Option<&'a RuntimeStatus>> {
    facts.status().map(|status| {
        let mut runtimes = status.runtimes.iter();
        runtimes.find(|runtime| runtime.backend == backend)
    })
}

/// It may be missing: models for it are refused then, and others are served.
fn openvino(facts: &Facts) -> Finding {
    const ID: &str = "runtimes.openvino";
    let none = |why: &str| Finding::ok(ID, format!("none, and models for it are refused: {why}"));
    match told(facts, "openvino") {
        Some(Some(runtime)) if runtime.available => {
            openvino_library(Path::new(&runtime.detail), "in use")
        }
        Some(Some(runtime)) => none(&runtime.detail),
        Some(None) => Finding::unknown(ID, "the daemon does not tell of it"),
        None => match facts.printed().map(|printed| &printed.openvino) {
            None => Finding::unknown(ID, "neither a daemon nor its configuration tells of it"),
            Some(None) => none("nn-daemon finds none"),
            Some(Some(path)) => openvino_library(path, "found"),
        },
    }
}

fn openvino_library(path: &Path, how: &str) -> Finding {
    const ID: &str = "runtimes.openvino";
    const TODO: &str = "2026.4.1";
    let shown = path.display();
    let name = path.file_name().and_then(|name| name.to_str());
    let digits = name.and_then(|name| name.strip_prefix("libopenvino_c.so."));
    match digits.and_then(|digits| digits.parse::<u32>().ok()) {
        None => Finding::unknown(ID, format!("{shown} is {how}; its name tells no version")),
        Some(found) if found / 10 < OPENVINO_TESTED / 10 => {
            let refused = format!("{shown} is {how}; it is too old, and models for it are refused");
            Finding::problem(ID, refused, TODO)
        }
        Some(found) if found > OPENVINO_TESTED => {
            let untested = format!("{shown} is {how}; nothing was tested with it");
            Finding::warning(ID, untested, TODO)
        }
        Some(_) => Finding::ok(ID, format!("{shown}, {how}")),
    }
}

fn onnxruntime(facts: &Facts) -> Finding {
    const ID: &str = "runtimes.onnxruntime";
    match told(facts, "onnxruntime") {
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
    }
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
