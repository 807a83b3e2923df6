//! Files that are said to be OpenVINO IR: the XML, beside weights of a fixed size.

use nn_vet::{Rules, ir};

use crate::onnx_vet::is_fit_for_people;

const WEIGHTS: [u8; 64] = [0; 64];

/// Judges the bytes as a model's XML.
pub fn run(file: &[u8]) {
    let rules = Rules {
        bytes_max: 1 << 20,
        nodes_max: 64,
    };
    match ir::vet(file, &WEIGHTS, &rules) {
        Ok(vetted) => {
            assert!(vetted.about.nodes <= rules.nodes_max);
            assert!(
                std::str::from_utf8(file).is_ok(),
                "passed without being text"
            );
        }
        Err(refusal) => is_fit_for_people(refusal),
    }
}
