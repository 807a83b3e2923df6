//! A model as OpenVINO writes it, and what becomes of it when a part is changed.

use proptest::prelude::*;

use super::*;

/// c = a + weights, as OpenVINO writes it.
const ADD: &str = r#"<?xml version="1.0"?>
<net name="add" version="11">
	<layers>
		<layer id="0" name="a" type="Parameter" version="opset1">
			<data shape="?,2" element_type="f32" />
			<output><port id="0" precision="FP32" names="a\,b,c"><dim>-1</dim><dim>2</dim></port></output>
		</layer>
		<layer id="1" name="w" type="Const" version="opset1">
			<data element_type="f32" shape="2" offset="8" size="8" />
			<output><port id="0" precision="FP32"><dim>2</dim></port></output>
		</layer>
		<layer id="2" name="c" type="Add" version="opset1">
			<data auto_broadcast="numpy" />
			<input>
				<port id="0" precision="FP32"><dim>-1</dim><dim>2</dim></port>
				<port id="1" precision="FP32"><dim>2</dim></port>
			</input>
			<output><port id="2" precision="FP32" names="c"><dim>-1</dim><dim>2</dim></port></output>
		</layer>
		<layer id="3" name="c/sink_port_0" type="Result" version="opset1" output_names="c">
			<input><port id="0" precision="FP32"><dim>-1</dim><dim>2</dim></port></input>
		</layer>
	</layers>
	<edges>
		<edge from-layer="0" from-port="0" to-layer="2" to-port="0" />
		<edge from-layer="1" from-port="0" to-layer="2" to-port="1" />
		<edge from-layer="2" from-port="2" to-layer="3" to-port="0" />
	</edges>
	<rt_info><Runtime_version value="2026" /><conversion_parameters><input_model value="DIR/a" /></conversion_parameters></rt_info>
</net>
"#;

const WEIGHTS: [u8; 16] = [0; 16];

fn rule_of(xml: &[u8]) -> Option<Rule> {
    vet(xml, &WEIGHTS, &Rules::default())
        .err()
        .map(|refusal| refusal.rule)
}

/// What becomes of the model with one part replaced.
fn with(from: &str, to: &str) -> Option<Rule> {
    assert!(ADD.contains(from), "{from}");
    rule_of(ADD.replacen(from, to, 1).as_bytes())
}

#[test]
fn a_model_that_openvino_wrote_passes_with_its_signature() {
    let vetted = vet(ADD.as_bytes(), &WEIGHTS, &Rules::default()).unwrap();
    let signature = vetted.signature.unwrap();
    let shown = |specs: &[TensorSpec]| -> Vec<String> {
        specs
            .iter()
            .map(|spec| format!("{} {spec}", spec.name))
            .collect()
    };
    assert_eq!(shown(&signature.inputs), ["a,b fp32 [?, 2]"]);
    assert_eq!(shown(&signature.outputs), ["c fp32 [?, 2]"]);
    assert_eq!(
        (
            vetted.about.nodes,
            vetted.about.parameter_bytes,
            vetted.about.ir_version
        ),
        (4, 8, 11)
    );
}

#[test]
fn other_formats_are_refused_by_their_name() {
    let files: [&[u8]; 4] = [
        b"",
        &[0x08, 0x08, 0x3a, 0x00],
        b"\x20\0\0\0ORTM",
        b"<?xml version='1.0'?>\xff",
    ];
    assert_eq!(files.map(rule_of), [Some(Rule::Format); 4]);
    assert_eq!(rule_of(b"<netz/>"), Some(Rule::Malformed));
    assert_eq!(rule_of(b"<net version='9'></net>"), Some(Rule::IrVersion));
    assert_eq!(
        rule_of(b"<net version='11'></net><net version='11'></net>"),
        Some(Rule::Malformed)
    );
    assert_eq!(rule_of(b"<net version='11'></net>"), None);
}

#[test]
fn document_types_entities_and_what_parsers_differ_in_are_refused() {
    let doctype = ADD.replace("<net ", "<!DOCTYPE net [<!ENTITY a \"b\">]><net ");
    assert_eq!(rule_of(doctype.as_bytes()), Some(Rule::Dtd));
    assert_eq!(with("name=\"add\"", "name=\"&a;\""), Some(Rule::Dtd));
    assert_eq!(with("<dim>-1</dim>", "<dim>&#49;</dim>"), Some(Rule::Dtd));
    assert_eq!(
        with("<dim>-1</dim>", "<dim><![CDATA[1]]></dim>"),
        Some(Rule::Malformed)
    );
    assert_eq!(with("<edges>", "<?x y?><edges>"), Some(Rule::Malformed));
    assert_eq!(
        with("version=\"1.0\"", "version=\"1.0\" encoding=\"latin1\""),
        Some(Rule::Malformed)
    );
    assert_eq!(
        with("version=\"1.0\"", "version=\"1.0\" encoding=\"utf-8\""),
        None
    );
    assert_eq!(with("<edges>", "<!-- words --><edges>"), None);
    assert_eq!(
        with("offset=\"8\"", "offset=\"8\" offset=\"0\""),
        Some(Rule::DuplicateField)
    );
}

#[test]
fn a_constant_lies_inside_the_weights_and_is_as_long_as_its_shape() {
    let past_the_end = [
        with("offset=\"8\"", "offset=\"9\""),
        with("offset=\"8\"", "offset=\"18446744073709551608\""),
        with("size=\"8\"", "size=\"7\""),
        with("shape=\"2\" offset", "shape=\"3\" offset"),
        with(
            "element_type=\"f32\" shape=\"2\"",
            "element_type=\"u8\" shape=\"2\"",
        ),
    ];
    assert_eq!(past_the_end, [Some(Rule::DataLength); 5]);
    let impossible = [
        with("shape=\"2\" offset", "shape=\"?\" offset"),
        with(
            "shape=\"2\" offset",
            "shape=\"4294967295,4294967295,4294967295\" offset",
        ),
        with("shape=\"2\" offset", "shape=\"-2\" offset"),
    ];
    assert_eq!(impossible, [Some(Rule::Dims); 3]);
    assert_eq!(
        with(
            "element_type=\"f32\" shape=\"2\"",
            "element_type=\"f33\" shape=\"2\""
        ),
        Some(Rule::DataType)
    );
    assert_eq!(with("offset=\"8\"", "offset=\"-8\""), Some(Rule::Malformed));
    assert_eq!(
        with(
            "element_type=\"f32\" shape=\"2\"",
            "element_type=\"i4\" shape=\"15\""
        ),
        None
    );
}

#[test]
fn what_is_told_of_a_shape_is_numbers() {
    let xml = ADD.replace("shape=\"2\" offset", "shape=\"2,\u{b}1\" offset");
    let refusal = vet(xml.as_bytes(), &WEIGHTS, &Rules::default()).unwrap_err();
    assert_eq!(refusal.rule, Rule::Dims);
    assert!(!refusal.got.contains('\u{b}'), "{refusal:?}");
}

#[test]
fn layers_of_other_sets_are_refused() {
    assert_eq!(
        with(
            "type=\"Add\" version=\"opset1\"",
            "type=\"Add\" version=\"extension\""
        ),
        Some(Rule::CustomOp)
    );
    assert_eq!(
        with(
            "type=\"Add\" version=\"opset1\"",
            "type=\"Add\" version=\"opset17\""
        ),
        Some(Rule::IrVersion)
    );
    assert_eq!(
        with(
            "type=\"Add\" version=\"opset1\"",
            "type=\"../x\" version=\"opset1\""
        ),
        Some(Rule::Malformed)
    );
    assert_eq!(
        with(
            "type=\"Add\" version=\"opset1\"",
            "type=\"Add\" version=\"opset16\""
        ),
        None
    );
}

#[test]
fn edges_join_ports_that_there_are_and_each_input_once() {
    let to = "to-layer=\"2\" to-port=\"1\"";
    assert_eq!(with(to, "to-layer=\"2\" to-port=\"7\""), Some(Rule::Wiring));
    assert_eq!(with(to, "to-layer=\"2\" to-port=\"0\""), Some(Rule::Wiring));
    assert_eq!(
        with("from-layer=\"1\"", "from-layer=\"9\""),
        Some(Rule::Wiring)
    );
    assert_eq!(
        with("<layer id=\"1\"", "<layer id=\"0\""),
        Some(Rule::Wiring)
    );
    let edge = "<edge from-layer=\"1\" from-port=\"0\" to-layer=\"2\" to-port=\"1\" />";
    assert_eq!(with(edge, ""), Some(Rule::Wiring));
}

#[test]
fn names_of_files_are_refused() {
    assert_eq!(
        with("auto_broadcast=", "weights_path="),
        Some(Rule::ExternalData)
    );
    assert_eq!(
        with("<Runtime_version", "<weights_path"),
        Some(Rule::ExternalData)
    );
    assert_eq!(
        with("type=\"Add\"", "library=\"x.so\" type=\"Add\""),
        Some(Rule::ExternalData)
    );
}

#[test]
fn what_is_nested_or_counted_without_end_is_refused() {
    let bodies = |count: usize| {
        let open = "<layer id='0' name='l' type='TensorIterator' version='opset1'><body><layers>"
            .repeat(count);
        let close = "</layers></body></layer>".repeat(count);
        format!("<net version='11'><layers>{open}{close}</layers></net>")
    };
    assert_eq!(rule_of(bodies(8).as_bytes()), None);
    assert_eq!(rule_of(bodies(9).as_bytes()), Some(Rule::Depth));
    let deep = format!("<net version='11'><rt_info>{}", "<a>".repeat(100_000));
    assert_eq!(rule_of(deep.as_bytes()), Some(Rule::Depth));
    let attributes: String = (0..100).map(|index| format!(" a{index}='0'")).collect();
    assert_eq!(
        rule_of(format!("<net{attributes}/>").as_bytes()),
        Some(Rule::Values)
    );
    let rules = Rules {
        nodes_max: 3,
        ..Rules::default()
    };
    assert_eq!(
        vet(ADD.as_bytes(), &WEIGHTS, &rules).unwrap_err().rule,
        Rule::Nodes
    );
    let ports = "<a/>".repeat(200);
    let many = format!("<net version='11'><rt_info>{ports}</rt_info></net>");
    assert_eq!(
        vet(many.as_bytes(), &WEIGHTS, &rules).unwrap_err().rule,
        Rule::Values
    );
}

#[test]
fn every_cut_and_every_flip_of_a_model_is_judged() {
    for cut in 0..ADD.len() {
        let _ = rule_of(&ADD.as_bytes()[..cut]);
        let mut flipped = ADD.as_bytes().to_vec();
        flipped[cut] ^= 0x10;
        let _ = rule_of(&flipped);
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_without_a_panic(text in "[<>/a-z0-9=' \"&;!-]{0,200}") {
        let _ = rule_of(format!("<net version='11'>{text}</net>").as_bytes());
        let _ = rule_of(format!("<?xml {text}").as_bytes());
    }
}
