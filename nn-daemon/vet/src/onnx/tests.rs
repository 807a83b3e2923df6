//! Models by hand, each with one thing wrong.

use proptest::prelude::*;

use super::*;

const SMALLEST: &[u8] = &[0x08, 0x08, 0x3a, 0x00];

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn message(field: u64, content: &[u8]) -> Vec<u8> {
    let len = varint(u64::try_from(content.len()).unwrap());
    [varint(field << 3 | 2), len, content.to_vec()].concat()
}

/// `content` wrapped in messages by their field numbers, the innermost first.
fn wrapped(content: &[u8], fields: &[u64]) -> Vec<u8> {
    fields
        .iter()
        .fold(content.to_vec(), |inner, &field| message(field, &inner))
}

/// A model of these top-level fields.
fn model(fields: &[u8]) -> Vec<u8> {
    let graph = if fields.first() == Some(&0x3a) {
        vec![]
    } else {
        message(7, b"")
    };
    [number(1, 8), fields.to_vec(), graph].concat()
}

/// A model whose graph has this content.
fn graph(content: &[u8]) -> Vec<u8> {
    [number(1, 8), message(7, content)].concat()
}

fn node(domain: &str, op: &str) -> Vec<u8> {
    let fields = [
        message(3, b"n0"),
        message(4, op.as_bytes()),
        message(7, domain.as_bytes()),
    ];
    message(1, &fields.concat())
}

fn judged(model: &[u8]) -> Result<Vetted, Rule> {
    vet(model, "", &Rules::default()).map_err(|refusal| refusal.rule)
}

fn rule(model: &[u8]) -> Option<Rule> {
    judged(model).err()
}

/// A tensor `w` with data_location 1 and nothing else.
fn elsewhere() -> Vec<u8> {
    [message(8, b"w"), number(14, 1)].concat()
}

/// A function: domain, name, nodes.
fn function(domain: &str, name: &str, nodes: &[u8]) -> Vec<u8> {
    let fields = [
        message(1, name.as_bytes()),
        nodes.to_vec(),
        message(10, domain.as_bytes()),
    ];
    message(25, &fields.concat())
}

/// A node inside a function.
fn call(domain: &str, op: &str) -> Vec<u8> {
    let fields = [message(4, op.as_bytes()), message(7, domain.as_bytes())];
    message(7, &fields.concat())
}

// === formats ===

#[test]
fn a_model_proto_is_onnx() {
    assert_eq!(vet(SMALLEST, "", &Rules::default()).unwrap().format, "onnx");
    assert_eq!(
        vet(SMALLEST, "onnx", &Rules::default()).unwrap().format,
        "onnx"
    );
    assert_eq!(
        vet(SMALLEST, "ggml", &Rules::default()).unwrap_err().rule,
        Rule::Format
    );
}

#[test]
fn what_is_no_model_is_named() {
    let files: [&[u8]; 5] = [
        b"",
        b"<html>",
        b"hello\n",
        b"\0\0\0\0TFL3",
        b"\x20\0\0\0ORTM",
    ];
    let guesses = files.map(|file| vet(file, "", &Rules::default()).unwrap_err());
    let expected = [
        (Rule::Format, "an empty file"),
        (Rule::Format, "what looks like XML (OpenVINO IR?) or HTML"),
        (Rule::Format, "text"),
        (Rule::Format, "what looks like a TensorFlow Lite model"),
        (
            Rule::OrtFile,
            "an ONNX Runtime .ort file; only .onnx is taken",
        ),
    ];
    let found = guesses
        .each_ref()
        .map(|refusal| (refusal.rule, refusal.got.as_str()));
    assert_eq!(found, expected);
}

#[test]
fn a_model_cut_short_is_refused() {
    assert_eq!(rule(&[0x08, 0x08, 0x3a, 0x05, 1, 2]), Some(Rule::Format));
    assert_eq!(rule(&SMALLEST[..2]), Some(Rule::Format));
}

#[test]
fn more_bytes_than_are_taken_are_refused() {
    let rules = Rules {
        bytes_max: 3,
        ..Rules::default()
    };
    assert_eq!(vet(SMALLEST, "", &rules).unwrap_err().rule, Rule::Size);
}

// === external data ===

#[test]
fn external_data_is_found_wherever_a_tensor_may_stand() {
    let places: [&[u64]; 14] = [
        // An initializer; sparse ones, values and indices.
        &[5, 7],
        &[1, 15, 7],
        &[2, 15, 7],
        // Attributes t, tensors, sparse_tensor, sparse_tensors of a node.
        &[5, 5, 1, 7],
        &[10, 5, 1, 7],
        &[1, 22, 5, 1, 7],
        &[2, 23, 5, 1, 7],
        // An initializer of a subgraph: attribute g, attribute graphs, and one in the other.
        &[5, 6, 5, 1, 7],
        &[5, 11, 5, 1, 7],
        &[5, 11, 5, 1, 6, 5, 1, 7],
        // A function: a node's attribute, an attribute's default.
        &[5, 5, 7, 25],
        &[5, 11, 25],
        // Training: initialization and algorithm.
        &[5, 1, 20],
        &[5, 2, 20],
    ];
    let found = places.map(|fields| rule(&model(&wrapped(&elsewhere(), fields))));
    assert_eq!(found, [Some(Rule::ExternalData); 14]);
}

#[test]
fn a_location_without_a_list_and_a_list_without_a_location_are_both_refused() {
    let list = message(
        13,
        &[message(1, b"location"), message(2, b"/etc/passwd")].concat(),
    );
    let unknown_location = number(14, 7);
    // An enumeration that a parser cuts to 32 bits.
    let cut_location = number(14, 1 << 32 | 1);
    let inside = [number(1, 0), number(2, 1), number(14, 0)].concat();
    assert_eq!(rule(&graph(&message(5, &list))), Some(Rule::ExternalData));
    assert_eq!(
        rule(&graph(&message(5, &unknown_location))),
        Some(Rule::ExternalData)
    );
    assert_eq!(
        rule(&graph(&message(5, &cut_location))),
        Some(Rule::ExternalData)
    );
    assert_eq!(rule(&graph(&message(5, &inside))), None);
}

#[test]
fn a_later_field_hides_nothing() {
    let back_inside = [elsewhere(), number(14, 0)].concat();
    assert_eq!(
        rule(&graph(&message(5, &back_inside))),
        Some(Rule::ExternalData)
    );
    let second_graph = [graph(&message(5, &elsewhere())), message(7, b"")].concat();
    assert_eq!(rule(&second_graph), Some(Rule::ExternalData));
    let two_graphs = [graph(b""), message(7, b"")].concat();
    assert_eq!(rule(&two_graphs), Some(Rule::DuplicateField));
    let two_versions = [number(1, 8), graph(b"")].concat();
    assert_eq!(rule(&two_versions), Some(Rule::DuplicateField));
}

#[test]
fn the_refusal_names_the_tensor_and_not_the_path() {
    let list = message(
        13,
        &[message(1, b"location"), message(2, b"/etc/passwd")].concat(),
    );
    let tensor = [message(8, b"we\x1bight"), list].concat();
    let constant = [
        message(3, b"c"),
        message(4, b"Constant"),
        message(5, &[message(1, b"value"), message(5, &tensor)].concat()),
    ];
    let refusal = vet(
        &graph(&message(1, &constant.concat())),
        "",
        &Rules::default(),
    )
    .unwrap_err();
    assert_eq!(
        refusal.place,
        "the tensor \"we\\u{1b}ight\" of attribute \"value\" of node 0 \"c\" (Constant)"
    );
    let fault = nn_tensor::Fault::from(refusal);
    assert_eq!(fault.code, nn_tensor::Code::InvalidEncoding);
    assert!(!fault.to_string().contains("passwd"), "{fault}");
}

// === operators ===

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
        served.map(|domain| rule(&graph(&node(domain, "Op")))),
        [None; 5]
    );
    let reserved = [
        "com.microsoft.nchwc",
        "com.ms.internal.nhwc",
        "ai.onnx.contrib",
    ];
    assert_eq!(
        reserved.map(|domain| rule(&graph(&node(domain, "Op")))),
        [Some(Rule::OpDomain); 3]
    );
    let custom = ["mine", "ai.onnx\0", "com.microsoftx"];
    assert_eq!(
        custom.map(|domain| rule(&graph(&node(domain, "Op")))),
        [Some(Rule::CustomOp); 3]
    );
}

#[test]
fn an_operator_that_the_model_defines_is_no_custom_one() {
    let used = graph(&node("mine", "F"));
    let defined = [used.clone(), function("mine", "F", &call("", "Relu"))].concat();
    assert_eq!(rule(&used), Some(Rule::CustomOp));
    assert_eq!(judged(&defined).unwrap().about.nodes, 2);
    let another = [used, function("mine", "G", &call("", "Relu"))].concat();
    assert_eq!(rule(&another), Some(Rule::CustomOp));
}

#[test]
fn a_node_that_names_compiled_code_is_refused_in_any_domain() {
    let domains = ["", "com.microsoft", "mine"];
    let found = domains.map(|domain| rule(&graph(&node(domain, "EPContext"))));
    assert_eq!(found, [Some(Rule::EpContext); 3]);
    let in_a_function = [
        graph(b""),
        function("f", "EPContext", &call("", "EPContext")),
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
fn a_function_that_calls_itself_around_the_corner_is_refused() {
    let circle = [
        graph(&node("f", "a")),
        function("f", "a", &call("f", "b")),
        function("f", "b", &call("f", "a")),
    ];
    assert_eq!(rule(&circle.concat()), Some(Rule::RecursiveFunction));
}

#[test]
fn functions_that_multiply_are_counted_as_they_will_be() {
    let level = |index: usize| {
        let inner = call("f", &format!("f{}", index + 1)).repeat(10);
        function("f", &format!("f{index}"), &inner)
    };
    let levels = |count: usize| {
        let all: Vec<Vec<u8>> = (0..count).map(level).collect();
        let last = function("f", &format!("f{count}"), &call("", "Relu"));
        [graph(&node("f", "f0")), all.concat(), last].concat()
    };
    // 1 + 10 + 100 + 1000, and the last level's own thousand.
    assert_eq!(judged(&levels(3)).unwrap().about.nodes, 2111);
    assert_eq!(rule(&levels(12)), Some(Rule::Nodes));
    assert_eq!(rule(&levels(30)), Some(Rule::Nodes));
}

// === bounds ===

#[test]
fn nodes_are_counted_over_all_graphs() {
    let rules = Rules {
        nodes_max: 3,
        ..Rules::default()
    };
    let nested = |count: usize| {
        let body = message(6, &node("", "Relu").repeat(count));
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

// === signatures ===

fn value(field: u64, name: &str, data_type: u64, dims: &[&[u8]]) -> Vec<u8> {
    let shape: Vec<u8> = dims.iter().flat_map(|dim| message(1, dim)).collect();
    let tensor = [number(1, data_type), message(2, &shape)].concat();
    let fields = [
        message(1, name.as_bytes()),
        message(2, &message(1, &tensor)),
    ];
    message(field, &fields.concat())
}

#[test]
fn the_signature_is_what_the_graph_declares_without_its_initializers() {
    let named = message(2, b"N");
    let fixed = number(1, 3);
    let negative = number(1, u64::MAX);
    let weight = [
        number(1, 3),
        number(2, 1),
        message(8, b"w"),
        message(9, &[0; 12]),
    ]
    .concat();
    let model = graph(
        &[
            value(11, "x", 1, &[&named, &fixed, &negative]),
            value(11, "w", 1, &[&fixed]),
            value(12, "y", 7, &[]),
            message(5, &weight),
        ]
        .concat(),
    );
    let vetted = judged(&model).unwrap();
    let signature = vetted.signature.clone().unwrap();
    let shown = |specs: &[nn_tensor::TensorSpec]| -> Vec<String> {
        specs
            .iter()
            .map(|spec| format!("{} {spec}", spec.name))
            .collect()
    };
    assert_eq!(shown(&signature.inputs), ["x fp32 [?, 3, ?]"]);
    assert_eq!(shown(&signature.outputs), ["y i64 []"]);
    assert_eq!(
        (vetted.about.parameter_bytes, vetted.about.ir_version),
        (12, 8)
    );
}

#[test]
fn a_signature_that_cannot_be_served_is_none() {
    let boolean = graph(&value(12, "y", 9, &[]));
    let untyped = graph(&message(12, &message(1, b"y")));
    assert_eq!(judged(&boolean).unwrap().signature, None);
    assert_eq!(judged(&untyped).unwrap().signature, None);
}

#[test]
fn a_worker_may_know_shapes_better_but_no_other_names_or_types() {
    let of = |name: &str, data_type: u64, dims: &[&[u8]]| {
        judged(&graph(&value(12, name, data_type, dims))).unwrap()
    };
    let (said, named) = (of("y", 1, &[b""]), number(1, 5));
    let agrees = |other: &Vetted| said.agrees_with(other.signature.as_ref().unwrap());
    assert_eq!(agrees(&of("y", 1, &[&named])), Ok(()));
    assert_eq!(
        agrees(&of("z", 1, &[b""])).unwrap_err().got,
        "() -> (\"z\" fp32)"
    );
    assert!(agrees(&of("y", 7, &[b""])).is_err());
}

// === costs ===

/// Every byte is read a bounded number of times, whatever the file: the walk takes steps by the bytes, and the worst
/// models that are known take no more for each.
#[test]
fn a_walk_takes_no_more_steps_than_there_are_bytes() {
    let rules = Rules {
        nodes_max: u64::MAX >> 8,
        ..Rules::default()
    };
    let tiny_nodes = graph(&message(1, b"").repeat(100_000));
    let tiny_dims = graph(
        &message(
            5,
            &[number(1, 0).repeat(8), number(2, 6), message(5, &[0; 1])].concat(),
        )
        .repeat(1000),
    );
    let packed = [number(1, 100_000), number(2, 6), message(5, &[0; 100_000])].concat();
    let packed = graph(&message(5, &packed));
    let nested = model(&wrapped(
        &message(1, b"").repeat(1000),
        &[[6, 5, 1].repeat(8), vec![7]].concat(),
    ));
    for file in [tiny_nodes, packed, nested] {
        let sums = walk::model(&file, &rules).unwrap();
        let bytes = u64::try_from(file.len()).unwrap();
        assert!(
            sums.steps <= 2 * bytes,
            "{} steps for {bytes} bytes",
            sums.steps
        );
    }
    assert!(walk::model(&tiny_dims, &rules).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes: Vec<u8>) {
        let _ = judged(&bytes);
        let _ = judged(&model(&wrapped(&bytes, &[5, 6, 5, 1, 7])));
        let _ = judged(&graph(&message(5, &bytes)));
    }

    #[test]
    fn a_walk_is_linear_whatever_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        if let Ok(sums) = walk::model(&graph(&bytes), &Rules::default()) {
            prop_assert!(sums.steps <= 2 * u64::try_from(bytes.len()).unwrap() + 8);
        }
    }
}

// === one file, two readings ===

#[test]
fn a_model_proto_with_the_mark_of_an_ort_file_is_refused() {
    let bytes = [message(2, b"\0\0ORTM"), graph(b"")].concat();
    assert!(is_onnx(&bytes));
    assert_eq!(rule(&bytes), Some(Rule::OrtFile));
}

#[test]
fn a_function_does_not_open_a_domain_of_the_optimisers_own() {
    let domain = "com.microsoft.nchwc";
    let nodes = message(7, &node(domain, "Conv"));
    let bytes = [number(1, 8), nodes, function(domain, "Conv", &[])].concat();
    assert_eq!(rule(&bytes), Some(Rule::OpDomain));
}

#[test]
fn a_circle_of_functions_is_seen_under_both_names_of_onnxs_domain() {
    let nodes = message(7, &node("ai.onnx", "F"));
    let bytes = [
        number(1, 8),
        nodes,
        function("", "F", &call("ai.onnx", "F")),
    ]
    .concat();
    assert_eq!(rule(&bytes), Some(Rule::RecursiveFunction));
}
