//! What is said of a model, as `nnctl describe` gets it.

use nn_proto::v1;

use super::signature;

pub(crate) fn described(model: v1::Model) -> v1::DescribeResponse {
    v1::DescribeResponse {
        model: Some(model),
        signature: Some(signature()),
        facts: Some(v1::ModelFacts {
            ir_version: 8,
            producer: "pytorch".into(),
            operator_sets: vec![v1::OperatorSet {
                domain: "ai.onnx.ml".into(),
                version: 4,
            }],
            nodes: 95,
            ..v1::ModelFacts::default()
        }),
        card: Some(v1::ModelCard {
            description: "adds".into(),
            tenants: vec!["shop".into()],
            labels: vec![v1::OutputLabels {
                output: "y".into(),
                labels: vec!["sum".into()],
            }],
            threads: 4,
            precision: "native".into(),
            instances_min: 1,
            instances_max: 4,
            ..v1::ModelCard::default()
        }),
        model_signature: Some(signature()),
    }
}
