//! Files that are said to be ONNX models. What the daemon's own reading lets through is read once more by another
//! parser, and that one may find nothing that should have been refused.

use nn_tensor::Fault;
use nn_vet::{Refusal, Rules};

use crate::onnx;

/// Few, so that inputs of a few kilobytes reach it.
const NODES_MAX: u64 = 64;

/// A fault travels in a header.
const FAULT_BYTES_MAX: usize = 4096;

/// Judges the bytes as a model.
pub fn run(file: &[u8]) {
    let rules = Rules {
        bytes_max: 1 << 20,
        nodes_max: NODES_MAX,
    };
    let judged = nn_vet::vet(file, "", &rules);
    assert_eq!(judged, nn_vet::vet(file, "onnx", &rules));
    let vetted = match judged {
        Ok(vetted) => vetted,
        Err(refusal) => return is_fit_for_people(refusal),
    };
    assert!(vetted.about.nodes <= NODES_MAX);
    // The other parser may refuse what was let through, and then there is no model.
    if let Some(found) = onnx::read(file) {
        assert!(!found.elsewhere, "external data passed");
        assert!(!found.compiled, "compiled code passed");
        assert!(!found.configures, "options of the framework passed");
        assert!(found.nodes <= NODES_MAX, "{} nodes passed", found.nodes);
        let inlined = onnx::inlined(file, NODES_MAX);
        assert!(
            inlined.is_some_and(|nodes| nodes <= vetted.about.nodes),
            "{inlined:?} nodes when functions are replaced"
        );
    }
}

/// What is told of a refusal is bounded and harms no terminal.
pub fn is_fit_for_people(refusal: Refusal) {
    let name = refusal.rule.name();
    let fault = Fault::from(refusal);
    let text = fault.to_string();
    assert!(text.len() <= FAULT_BYTES_MAX, "{} bytes", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(fault.message.contains(name) && !fault.hint.is_empty());
}
