//! Who may depend on whom. The rules are the two tables at the top; ARCHITECTURE.md draws them.

use super::graph::{Graph, Package};
use super::{Document, Finding, packages};

/// Packages that test the others from outside and may use everything.
const OUTSIDE: [&str; 2] = ["nn-tests", "nn-benches"];

/// A crate (`name*`: all whose names begin so), and the packages whose manifest may name it.
const DIRECT: [(&str, &[&str]); 16] = [
    ("ort", &["nn-backend-*"]),
    ("ort-sys", &["nn-backend-*"]),
    ("openvino*", &["nn-backend-*"]),
    ("wasmtime*", &["nn-host-shim", "nn-host"]),
    (
        "tonic*",
        &[
            "nn-proto",
            "nn-daemon",
            "nn-client",
            "nn-host-shim",
            "nnctl",
        ],
    ),
    (
        "clap",
        &["nn-daemon", "nnctl", "nn-host", "nn-manual", "xtask"],
    ),
    ("clap_complete", &["nn-manual"]),
    ("clap_mangen", &["nn-manual"]),
    ("tokio-rustls", &["nn-daemon", "nn-relay"]),
    ("rustls*", &["nn-daemon"]),
    ("bincode", &["nn-worker-wire"]),
    ("quick-xml", &["nn-vet"]),
    ("fast_image_resize", &["nn-convert"]),
    ("nn-daemon", &[]),
    ("nn-host-shim", &["nn-host"]),
    ("nn-backend-*", &["nn-worker"]),
];

/// A crate, and the packages that must not need it, not even through others.
const NEVER: [(&str, &[&str]); 8] = [
    (
        "tokio",
        &[
            "nn-tensor",
            "nn-shm",
            "nn-vet",
            "nn-convert",
            "nn-witx",
            "nn-worker-wire",
            "nn-sandbox",
            "nn-backend*",
            "nn-worker*",
            "nn-spawner",
            "nn-dialer",
        ],
    ),
    ("clap", &["nn-host-shim", "nn-client"]),
    ("wasmtime-wasi*", &["nn-host-shim", "nn-client"]),
    (
        "wasmtime",
        &[
            "nn-daemon",
            "nn-spawner",
            "nn-worker*",
            "nn-client",
            "nn-witx",
            "nnctl",
            "nn-relay",
            "nn-dialer",
        ],
    ),
    (
        "ort*",
        &[
            "nn-daemon",
            "nn-spawner",
            "nn-relay",
            "nn-dialer",
            "nn-worker-base",
            "nn-client",
            "nn-host-shim",
            "nn-host",
            "nnctl",
        ],
    ),
    (
        "openvino*",
        &[
            "nn-daemon",
            "nn-spawner",
            "nn-relay",
            "nn-dialer",
            "nn-worker-base",
            "nn-client",
            "nn-host-shim",
            "nn-host",
            "nnctl",
        ],
    ),
    (
        "nn-*",
        &[
            "nn-tensor",
            "nn-sandbox",
            "nn-patience",
            "nn-onnx-writer",
            "xtask",
        ],
    ),
    (
        "nn-onnx-writer",
        &[
            "nn-vet",
            "nn-daemon",
            "nn-backend*",
            "nn-worker*",
            "nn-client",
            "nn-host-shim",
            "nn-host",
            "nnctl",
        ],
    ),
];

/// Checks both tables against the graph.
pub(crate) fn check(graph: &Graph, documents: &[Document]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in graph.ours() {
        findings.extend(check_direct(graph, package, documents));
        findings.extend(check_never(graph, package, documents));
    }
    findings
}

fn check_direct(graph: &Graph, package: &Package, documents: &[Document]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (pattern, allowed) in DIRECT {
        if OUTSIDE.contains(&package.name.as_str()) || any(allowed, &package.name) {
            continue;
        }
        for needed in graph
            .direct(package)
            .filter(|needed| is(pattern, &needed.name))
        {
            let text = format!(
                "{} depends on {}, which only {} may",
                package.name,
                needed.name,
                list(allowed)
            );
            findings.push(finding(documents, package, &needed.name, text));
        }
    }
    findings
}

fn check_never(graph: &Graph, package: &Package, documents: &[Document]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (pattern, forbidden) in NEVER {
        if !any(forbidden, &package.name) {
            continue;
        }
        if let Some(chain) = graph.chain(package, |name| is(pattern, name) && name != package.name)
        {
            let step = chain.get(1).map_or("", String::as_str);
            let text = format!(
                "{} must never need {pattern}: {}",
                package.name,
                chain.join(" -> ")
            );
            findings.push(finding(documents, package, step, text));
        }
    }
    findings
}

fn finding(documents: &[Document], package: &Package, dependency: &str, text: String) -> Finding {
    let manifest = package.manifest.clone().unwrap_or_default();
    let line = documents
        .iter()
        .find(|document| document.path == manifest)
        .map_or(1, |document| packages::line_of(&document.text, dependency));
    Finding::new(&manifest, line, text)
}

fn any(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| is(pattern, name))
}

fn is(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

fn list(allowed: &[&str]) -> String {
    [allowed, OUTSIDE.as_slice()].concat().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[&str]) -> Vec<String> {
        check(&Graph::of(lines), &[])
            .into_iter()
            .map(|finding| finding.text)
            .collect()
    }

    #[test]
    fn layers_in_order_are_right() {
        let lines = [
            "nn-worker: nn-backend-ort",
            "nn-backend-ort: ort",
            "ort:",
            "nn-tests: ort nn-daemon",
            "nn-daemon:",
        ];
        assert_eq!(texts(&lines), Vec::<String>::new());
    }

    #[test]
    fn daemon_that_links_a_framework_is_found_with_the_chain() {
        let found = texts(&["nn-daemon: helper", "helper: ort-sys", "ort-sys:"]);
        let wanted = "nn-daemon must never need ort*: nn-daemon -> helper -> ort-sys";
        assert!(found.iter().any(|text| text == wanted), "{found:?}");
    }

    #[test]
    fn runtime_in_a_worker_is_found() {
        assert_eq!(texts(&["nn-worker: a", "a: tokio", "tokio:"]).len(), 1);
    }

    #[test]
    fn dependence_on_the_daemon_is_found() {
        let found = texts(&["nnctl: nn-daemon", "nn-daemon:"]);
        assert_eq!(
            found,
            ["nnctl depends on nn-daemon, which only nn-tests, nn-benches may"]
        );
    }

    #[test]
    fn leaf_that_depends_on_ours_is_found() {
        assert_eq!(texts(&["nn-tensor: nn-shm", "nn-shm:"]).len(), 1);
    }
}
