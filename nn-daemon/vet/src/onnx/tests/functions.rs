//! Functions of a model: which there are, and which one a node calls.

use super::*;

#[test]
fn an_operator_that_the_model_defines_is_no_custom_one() {
    let used = graph(&in_graph("mine", "F"));
    let found = [used.clone(), defined("mine", "F", &in_function("", "Relu"))].concat();
    assert_eq!(rule(&used), Some(Rule::CustomOp));
    assert_eq!(judged(&found).unwrap().about.nodes, 2);
    let another = [used, defined("mine", "G", &in_function("", "Relu"))].concat();
    assert_eq!(rule(&another), Some(Rule::CustomOp));
}

#[test]
fn a_function_that_calls_itself_around_the_corner_is_refused() {
    let circle = [
        graph(&in_graph("f", "a")),
        defined("f", "a", &in_function("f", "b")),
        defined("f", "b", &in_function("f", "a")),
    ];
    assert_eq!(rule(&circle.concat()), Some(Rule::RecursiveFunction));
}

#[test]
fn a_circle_of_functions_is_seen_under_both_names_of_onnxs_domain() {
    let nodes = message(7, &in_graph("ai.onnx", "F"));
    let bytes = [
        number(1, 8),
        nodes,
        defined("", "F", &in_function("ai.onnx", "F")),
    ]
    .concat();
    assert_eq!(rule(&bytes), Some(Rule::RecursiveFunction));
}

/// The functions `A` and `A` with the overload `o`, and a node of the graph with that overload.
fn overloaded(in_call: &str, of_second: &str) -> Vec<u8> {
    let call = [bare("f", "A"), node::overload(in_call)].concat();
    let second = [function::overload(of_second), in_function("", "Relu")].concat();
    [
        graph(&message(1, &call)),
        defined("f", "A", &in_function("", "Relu").repeat(2)),
        defined("f", "A", &second),
    ]
    .concat()
}

#[test]
fn a_node_calls_the_function_of_its_own_overload() {
    assert_eq!(judged(&overloaded("", "o")).unwrap().about.nodes, 3);
    assert_eq!(judged(&overloaded("o", "o")).unwrap().about.nodes, 2);
    assert_eq!(rule(&overloaded("", "")), Some(Rule::DuplicateField));
}

#[test]
fn an_overload_that_no_function_has_is_refused_whatever_others_there_are() {
    let refusal = vet(&overloaded("p", "o"), "", &Rules::default()).unwrap_err();
    assert_eq!(refusal.rule, Rule::CustomOp);
    assert_eq!(
        refusal.got,
        "the overload \"p\" of a function that has others"
    );
    let only_overloaded = [
        graph(&in_graph("", "Relu")),
        defined("", "Relu", &function::overload("o")),
    ];
    assert_eq!(rule(&only_overloaded.concat()), Some(Rule::CustomOp));
}

#[test]
fn overloads_that_call_each_other_are_a_circle_only_if_they_come_back() {
    let to = |overload: &str| function::node(&[bare("f", "A"), node::overload(overload)].concat());
    let of = |overload: &str, nodes: &[u8]| {
        defined(
            "f",
            "A",
            &[function::overload(overload), nodes.to_vec()].concat(),
        )
    };
    let called = graph(&in_graph("f", "A"));
    let line = [
        called.clone(),
        of("", &to("o")),
        of("o", &to("p")),
        of("p", b""),
    ];
    let circle = [
        called,
        of("", &to("o")),
        of("o", &to("p")),
        of("p", &to("o")),
    ];
    assert_eq!(rule(&line.concat()), None);
    assert_eq!(rule(&circle.concat()), Some(Rule::RecursiveFunction));
}

/// ONNX Runtime finds functions by `domain:name:overload`, so that these are one to it.
#[test]
fn functions_that_could_be_taken_for_each_other_are_refused() {
    let used = graph(&in_graph("a", "b"));
    let harmless = defined("a", "b", b"");
    let of = |domain: &str, name: &str| defined(domain, name, b"");
    let ends_early = of("a", "b\0c");
    let overload = defined("a", "b", &function::overload("c:d"));
    let confused = [of("a:b", "c"), of("a", "b:c"), overload, ends_early];
    let found = confused.map(|other| rule(&[used.clone(), harmless.clone(), other].concat()));
    assert_eq!(found, [Some(Rule::Name); 4]);
}

#[test]
fn a_node_that_could_be_taken_for_a_call_of_another_function_is_refused() {
    let harmless = defined("a", "b", &function::overload("c"));
    let nodes = [
        bare("a", "b:c"),
        bare("a:b", "c"),
        bare("", "a:b"),
        bare("a\0", "b"),
        [bare("a", "b"), node::overload("c:")].concat(),
    ];
    let found = nodes.map(|node| {
        let refusal = vet(
            &[graph(&message(1, &node)), harmless.clone()].concat(),
            "",
            &Rules::default(),
        );
        let refusal = refusal.unwrap_err();
        (refusal.rule, refusal.got)
    });
    assert_eq!(found.each_ref().map(|(rule, _)| *rule), [Rule::Name; 5]);
    assert_eq!(found[0].1, "the name \"b:c\"");
}

/// A function by the one name calls what by the other is itself.
#[test]
fn a_circle_that_only_confused_keys_close_is_refused() {
    let model = [
        graph(&in_graph("a:b", "c")),
        defined("a:b", "c", &in_function("a", "b:c")),
        defined("a", "b:c", &in_function("", "Relu")),
    ];
    assert_eq!(rule(&model.concat()), Some(Rule::Name));
}
