//! What becomes of a model when all calls of its functions are replaced.

use nn_onnx_writer::{attribute, tensor};

use super::*;

#[test]
fn functions_that_multiply_are_counted_as_they_will_be() {
    let level = |index: usize| {
        let inner = in_function("f", &format!("f{}", index + 1)).repeat(10);
        defined("f", &format!("f{index}"), &inner)
    };
    let levels = |count: usize| {
        let all: Vec<Vec<u8>> = (0..count).map(level).collect();
        let last = defined("f", &format!("f{count}"), &in_function("", "Relu"));
        [graph(&in_graph("f", "f0")), all.concat(), last].concat()
    };
    // 1 + 10 + 100 + 1000, and the last level's own thousand.
    assert_eq!(judged(&levels(3)).unwrap().about.nodes, 2111);
    assert_eq!(rule(&levels(12)), Some(Rule::Nodes));
    assert_eq!(rule(&levels(30)), Some(Rule::Nodes));
}

// === what is given for attributes ===

/// `count` nodes in a row, without a message around.
fn relus(count: usize) -> Vec<u8> {
    message(1, &bare("", "Relu")).repeat(count)
}

/// A node of the graph that calls `f0` and gives this for its attribute `a`.
fn giving(attribute: &[u8]) -> Vec<u8> {
    let call = [bare("f", "f0"), node::attribute(attribute)].concat();
    graph(&message(1, &call))
}

/// A node that takes the attribute `a` of its function by another name.
fn taker(domain: &str, op: &str, name: &str) -> Vec<u8> {
    let reference = attribute::reference(name, "a", attribute::GRAPH);
    [bare(domain, op), node::attribute(&reference)].concat()
}

/// The same in a function.
fn taking(domain: &str, op: &str, name: &str) -> Vec<u8> {
    function::node(&taker(domain, op, name))
}

/// Functions `f0` to `f{levels}`, each with so many nodes that hand their attribute on, the last to `If`.
fn handing_on(levels: usize, times: usize) -> Vec<u8> {
    let level = |index: usize| {
        let node = if index == levels {
            taking("", "If", "then_branch")
        } else {
            taking("f", &format!("f{}", index + 1), "a")
        };
        defined("f", &format!("f{index}"), &node.repeat(times))
    };
    (0..=levels).flat_map(level).collect()
}

#[test]
fn a_graph_that_is_given_counts_wherever_the_function_puts_it() {
    let given = |nodes: usize, levels: usize| {
        let call = giving(&attribute::graph("a", &relus(nodes)));
        [call, handing_on(levels, 10)].concat()
    };
    // The call, ten nodes that take the graph, and the graph of a hundred eleven times.
    assert_eq!(judged(&given(100, 0)).unwrap().about.nodes, 1 + 10 + 1100);
    // It stands in the call, in ten calls of the second level, and in their hundred nodes.
    let two_levels = judged(&given(100, 1)).unwrap().about.nodes;
    assert_eq!(two_levels, 1 + 10 + 100 + 100 * 111);
    let refusal = vet(&given(100, 2), "", &Rules::default()).unwrap_err();
    assert_eq!(
        (refusal.rule, refusal.got.as_str()),
        (Rule::Nodes, "112211 with each call of a function replaced")
    );
    assert_eq!(rule(&given(1, 40)), Some(Rule::Nodes));
}

#[test]
fn an_attribute_that_nobody_takes_counts_once() {
    let unused = defined("f", "f0", &taking("", "If", "then_branch").repeat(10));
    let other = giving(&attribute::graph("b", &relus(100)));
    let nodes = judged(&[other, unused].concat()).unwrap().about.nodes;
    assert_eq!(nodes, 1 + 10 + 100);
}

#[test]
fn a_call_inside_a_graph_that_is_given_counts_with_its_body() {
    let inner = message(1, &bare("f", "g"));
    let model = [
        giving(&attribute::graph("a", &inner)),
        handing_on(0, 2),
        defined("f", "g", &in_function("", "Relu").repeat(10)),
    ];
    // Two nodes take the graph, which is eleven nodes, and stands in the call too.
    let nodes = judged(&model.concat()).unwrap().about.nodes;
    assert_eq!(nodes, 1 + 2 + 3 * 11);
}

#[test]
fn a_default_counts_as_if_each_call_took_it() {
    let default = attribute::graph("a", &relus(100));
    let body = [
        taking("", "If", "then_branch").repeat(2),
        function::attribute_with_default(&default),
    ];
    let model = [
        graph(&in_graph("f", "f0").repeat(5)),
        defined("f", "f0", &body.concat()),
    ];
    let nodes = judged(&model.concat()).unwrap().about.nodes;
    assert_eq!(nodes, 5 * (1 + 2 + 3 * 100));
}

#[test]
fn bytes_that_are_given_count_wherever_the_function_puts_them() {
    let rules = |bytes_max| Rules {
        bytes_max,
        ..Rules::default()
    };
    let given = attribute::tensor("a", &tensor::floats("w", &[0.0; 1000]));
    let model = [giving(&given), handing_on(1, 10)].concat();
    // In ten calls of the second level and their hundred nodes; and the second level's function, ten times.
    let copies = len(&model) + 110 * len(&given);
    let refusal = vet(&model, "", &rules(copies)).unwrap_err();
    assert_eq!(refusal.rule, Rule::Size);
    assert!(
        refusal
            .got
            .ends_with(" bytes with each call of a function replaced"),
        "{refusal:?}"
    );
    assert!(vet(&model, "", &rules(2 * copies)).is_ok());
}

#[test]
fn a_constant_in_a_function_counts_once_a_call() {
    let weight = attribute::tensor("value", &tensor::floats("w", &[0.0; 1000]));
    let constant = function::node(&[bare("", "Constant"), node::attribute(&weight)].concat());
    let model = |calls: usize| {
        [
            graph(&in_graph("f", "f0").repeat(calls)),
            defined("f", "f0", &constant),
        ]
        .concat()
    };
    let rules = Rules {
        bytes_max: 50_000,
        ..Rules::default()
    };
    assert!(vet(&model(10), "", &rules).is_ok());
    assert_eq!(vet(&model(20), "", &rules).unwrap_err().rule, Rule::Size);
}

/// ONNX Runtime 1.28 ends in a stack overflow on these.
#[test]
fn a_reference_inside_what_is_given_is_refused() {
    let reference = attribute::reference("a", "a", attribute::GRAPH);
    let inner = [bare("f", "g"), node::attribute(&reference)].concat();
    let circle = attribute::graph("a", &message(1, &inner));
    let nested = wrapped(&circle, &[5, 1, 6]);
    let g = defined("f", "g", b"");
    let by_call = [giving(&circle), handing_on(0, 1), g.clone()];
    let deeper = [giving(&nested), handing_on(0, 1), g.clone()];
    let default = [
        taking("f", "g", "a"),
        function::attribute_with_default(&circle),
    ]
    .concat();
    let by_default = [graph(&in_graph("f", "f0")), defined("f", "f0", &default), g];
    let found = [by_call.concat(), deeper.concat(), by_default.concat()].map(|model| rule(&model));
    assert_eq!(found, [Some(Rule::RecursiveFunction); 3]);
}

#[test]
fn an_attribute_with_a_value_and_a_reference_is_refused() {
    let both = [attribute::integer("n", 1), message(21, b"a")].concat();
    let node = function::node(&[bare("", "Op"), node::attribute(&both)].concat());
    let model = [graph(b""), defined("f", "f0", &node)].concat();
    assert_eq!(rule(&model), Some(Rule::DuplicateField));
}

#[test]
fn what_is_given_and_taken_is_counted_as_values() {
    let rules = Rules {
        nodes_max: 2,
        ..Rules::default()
    };
    let attributes = |count: usize| {
        let given = node::attribute(&attribute::integer("n", 1)).repeat(count);
        let call = message(1, &[bare("f", "f0"), given].concat());
        [graph(&call), defined("f", "f0", &in_function("", "Relu"))].concat()
    };
    assert!(vet(&attributes(8), "", &rules).is_ok());
    assert_eq!(
        vet(&attributes(9), "", &rules).unwrap_err().rule,
        Rule::Values
    );
}

// === depth ===

/// Functions `f0` to `f{last}`, each with one node that leads to the next.
fn chain(last: usize, to_next: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let level = |index: usize| {
        let node = if index == last {
            in_function("", "Relu")
        } else {
            function::node(&to_next(&bare("f", &format!("f{}", index + 1))))
        };
        defined("f", &format!("f{index}"), &node)
    };
    let functions: Vec<u8> = (0..=last).flat_map(level).collect();
    [graph(&in_graph("f", "f0")), functions].concat()
}

/// ONNX Runtime 1.28 ends in a stack overflow on a chain of four thousand.
#[test]
fn functions_that_call_each_other_in_a_long_row_are_refused() {
    let in_a_row = |count: usize| chain(count - 1, <[u8]>::to_vec);
    assert_eq!(rule(&in_a_row(64)), None);
    let refusal = vet(&in_a_row(65), "", &Rules::default()).unwrap_err();
    assert_eq!((refusal.rule, refusal.got.as_str()), (Rule::Depth, "65"));
}

#[test]
fn subgraphs_are_counted_through_functions() {
    let in_a_branch = |call: &[u8]| {
        let branch = attribute::graph("then_branch", &message(1, call));
        [bare("", "If"), node::attribute(&branch)].concat()
    };
    assert_eq!(rule(&chain(8, in_a_branch)), None);
    let refusal = vet(&chain(9, in_a_branch), "", &Rules::default()).unwrap_err();
    assert_eq!(
        (refusal.rule, refusal.got.as_str()),
        (Rule::Depth, "9 with each call of a function replaced")
    );
}

#[test]
fn subgraphs_are_counted_through_what_is_given() {
    let deep =
        |graphs: usize| wrapped(&relus(1), &[[6, 5, 1].repeat(graphs - 1), vec![6]].concat());
    let branch = [message(1, b"a"), deep(4)].concat();
    let around = |graphs: usize| {
        let inner = message(1, &taker("", "If", "then_branch"));
        let fields = [[6, 5, 1].repeat(graphs - 1), vec![6, 5, 7]].concat();
        let function = defined("f", "f0", &wrapped(&inner, &fields));
        [giving(&branch), function].concat()
    };
    assert_eq!(rule(&around(4)), None);
    assert_eq!(rule(&around(5)), Some(Rule::Depth));
}
