//! Operators that are served, and what a model may not bring.

use super::*;

#[test]
fn domains_that_are_served_pass_and_others_do_not() {
    let served = [
        "",
        "ai.onnx",
        "ai.onnx.ml",
        "ai.onnx.preview.training",
        "com.microsoft",
    ];
    assert_eq!(
        served.map(|domain| rule(&graph(&in_graph(domain, "Op")))),
        [None; 5]
    );
    let reserved = [
        "com.microsoft.nchwc",
        "com.ms.internal.nhwc",
        "ai.onnx.contrib",
    ];
    assert_eq!(
        reserved.map(|domain| rule(&graph(&in_graph(domain, "Op")))),
        [Some(Rule::OpDomain); 3]
    );
    let custom = ["mine", "ai.onnx\0", "com.microsoftx"];
    assert_eq!(
        custom.map(|domain| rule(&graph(&in_graph(domain, "Op")))),
        [Some(Rule::CustomOp); 3]
    );
}

#[test]
fn a_node_that_names_compiled_code_is_refused_in_any_domain() {
    let domains = ["", "com.microsoft", "mine"];
    let found = domains.map(|domain| rule(&graph(&in_graph(domain, "EPContext"))));
    assert_eq!(found, [Some(Rule::EpContext); 3]);
    let in_a_function = [
        graph(b""),
        defined("f", "EPContext", &in_function("", "EPContext")),
    ]
    .concat();
    assert_eq!(rule(&in_a_function), Some(Rule::EpContext));
}

#[test]
fn options_of_the_framework_are_refused() {
    let entry = |key: &str| {
        model(&message(
            14,
            &[message(1, key.as_bytes()), message(2, b"{}")].concat(),
        ))
    };
    assert_eq!(rule(&entry("ort_config")), Some(Rule::FrameworkConfig));
    assert_eq!(rule(&entry("author")), None);
}

#[test]
fn a_function_does_not_open_a_domain_of_the_optimisers_own() {
    let domain = "com.microsoft.nchwc";
    let nodes = message(7, &in_graph(domain, "Conv"));
    let bytes = [number(1, 8), nodes, defined(domain, "Conv", &[])].concat();
    assert_eq!(rule(&bytes), Some(Rule::OpDomain));
}
