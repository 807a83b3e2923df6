//! How many, how deep, how large.

use super::*;

#[test]
fn nodes_are_counted_over_all_graphs() {
    let rules = Rules {
        nodes_max: 3,
        ..Rules::default()
    };
    let nested = |count: usize| {
        let body = message(6, &in_graph("", "Relu").repeat(count));
        graph(&message(1, &message(5, &body)))
    };
    assert_eq!(vet(&nested(2), "", &rules).unwrap().about.nodes, 3);
    assert_eq!(vet(&nested(3), "", &rules).unwrap_err().rule, Rule::Nodes);
    let values = |count: usize| graph(&message(13, b"").repeat(count));
    assert!(vet(&values(12), "", &rules).is_ok());
    assert_eq!(vet(&values(13), "", &rules).unwrap_err().rule, Rule::Values);
}

#[test]
fn graphs_nested_beyond_the_bound_are_refused() {
    let nested = |levels| model(&wrapped(b"", &[[6, 5, 1].repeat(levels), vec![7]].concat()));
    assert_eq!(rule(&nested(8)), None);
    assert_eq!(rule(&nested(9)), Some(Rule::Depth));
    assert_eq!(rule(&nested(3000)), Some(Rule::Depth));
}

#[test]
fn types_nested_beyond_the_bound_are_refused() {
    let nested = |levels| {
        graph(&wrapped(
            b"",
            &[[1, 4].repeat(levels), vec![2, 11]].concat(),
        ))
    };
    assert_eq!(rule(&nested(10)), None);
    assert_eq!(rule(&nested(100)), Some(Rule::Depth));
}

#[test]
fn values_of_nine_dimensions_are_refused() {
    let value = |rank: usize| graph(&wrapped(&message(1, b"").repeat(rank), &[2, 1, 2, 11]));
    assert_eq!(rule(&value(8)), None);
    assert_eq!(rule(&value(9)), Some(Rule::Rank));
}

#[test]
fn a_name_that_a_framework_would_cut_is_refused() {
    let named = |name: &[u8]| graph(&message(11, &message(1, name)));
    assert_eq!(rule(&named(b"a\0b")), Some(Rule::Name));
    assert_eq!(rule(&named(b"a\x1bb")), None);
}

#[test]
fn a_field_of_another_type_is_refused() {
    let graph_as_number = [SMALLEST, &number(7, 1)].concat();
    assert_eq!(rule(&graph_as_number), Some(Rule::Malformed));
    let op_as_number = graph(&message(1, &number(4, 1)));
    assert_eq!(rule(&op_as_number), Some(Rule::Malformed));
}
