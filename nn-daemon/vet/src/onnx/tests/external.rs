//! Tensors whose bytes are elsewhere, or may be.

use nn_onnx_writer::tensor::PLACES;

use super::*;

#[test]
fn external_data_is_found_wherever_a_tensor_may_stand() {
    let found = PLACES.map(|fields| rule(&model(&wrapped(&elsewhere(), fields))));
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
