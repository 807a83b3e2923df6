//! Configurations as Triton has them, and files that are none.

use proptest::prelude::*;

use super::*;

fn v(number: u32) -> Version {
    Version::new(number).unwrap()
}

/// As Triton's own documentation and tools write it.
const TYPICAL: &str = r#"
name: "efficientnet"
platform: "onnxruntime_onnx"   # of older files
max_batch_size : 8
input [
  {
    name: "images:0"
    data_type: TYPE_FP32
    dims: [ 224, 224, 3 ]
  }
]
output [
  { name: "Softmax:0", data_type: TYPE_FP32, dims: [ 1000 ], label_filename: "labels.txt" }
]
instance_group [ { count: 2 kind: KIND_CPU } ]
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
version_policy: { specific: { versions: [1, 3] } }
parameters { key: "intra_op_thread_count" value: { string_value: "2" } }
optimization < graph: < level: -1 > >
"#;

#[test]
fn a_typical_file_is_read_and_what_it_does_not_change_is_named() {
    let config = Config::parse(TYPICAL).unwrap();
    assert_eq!(config.file, None);
    assert_eq!(config.versions, Versions::These([v(1), v(3)].into()));
    assert_eq!(config.label_files["Softmax:0"], "labels.txt");
    assert_eq!(config.instances, Some(Instances::of(2)));
    let ignored: Vec<&str> = config.ignored.iter().map(String::as_str).collect();
    let expected = ["dynamic_batching", "optimization", "parameters"];
    assert_eq!(ignored, expected);
}

#[test]
fn groups_on_the_processor_add_up_and_others_are_named() {
    for (groups, count, ignored) in [
        ("instance_group { }", 1, &[][..]),
        ("instance_group { kind: KIND_CPU count: 3 }", 3, &[]),
        (
            "instance_group [ { count: 2 name: \"a\" }, { count: 1 kind: 2 passive: true } ]",
            3,
            &["instance_group.passive"],
        ),
        (
            "instance_group [ { count: 4 kind: KIND_GPU gpus: [ 0, 1 ] }, { kind: KIND_CPU } ]",
            1,
            &["instance_group of KIND_GPU"],
        ),
        (
            "instance_group { count: 99 }",
            16,
            &["instance_group beyond 16 instances (99)"],
        ),
    ] {
        let config = Config::parse(groups).unwrap();
        assert_eq!(config.instances, Some(Instances::of(count)), "{groups}");
        let told: Vec<&str> = config.ignored.iter().map(String::as_str).collect();
        assert_eq!(told, ignored, "{groups}");
    }
    let other = Config::parse("instance_group { kind: KIND_MODEL }").unwrap();
    assert_eq!(other.instances, None);
    assert!(Config::parse("instance_group { count: \"many\" }").is_err());
}

#[test]
fn the_least_file_is_an_empty_one() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
    assert_eq!(Config::parse("# nothing").unwrap(), Config::default());
}

#[test]
fn the_models_file_may_have_another_name_but_not_another_place() {
    let config = Config::parse("default_model_filename: \"net\" '.onnx'").unwrap();
    assert_eq!(config.file.as_deref(), Some("net.onnx"));
    for bad in ["../net.onnx", "a/b", ".."] {
        assert!(
            Config::parse(&format!("default_model_filename: \"{bad}\"")).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn a_policy_picks_from_the_versions_that_are_there() {
    let there: BTreeSet<Version> = [v(1), v(2), v(5)].into();
    for (policy, expected) in [
        ("", vec![1, 2, 5]),
        ("version_policy { all {} }", vec![1, 2, 5]),
        ("version_policy { latest {} }", vec![5]),
        ("version_policy { latest { num_versions: 2 } }", vec![2, 5]),
        (
            "version_policy { specific { versions: 2 versions: 3 } }",
            vec![2],
        ),
    ] {
        let config = Config::parse(policy).unwrap();
        let got: Vec<u32> = config.versions.of(&there).iter().map(|v| v.get()).collect();
        assert_eq!(got, expected, "{policy}");
    }
}

#[test]
fn a_model_of_another_framework_is_refused_by_name() {
    for other in [
        "backend: \"tensorrt\"",
        "platform: \"ensemble\"",
        "backend: \"python\"",
    ] {
        let fault = Config::parse(other).unwrap_err();
        assert_eq!(fault.code, Code::UnsupportedOperation, "{fault}");
        assert!(fault.expected.contains("onnxruntime"), "{fault}");
    }
}

#[test]
fn what_is_no_text_format_is_told_with_its_line() {
    for bad in [
        "name: \"a\"\nname \"b\"",
        "name: \"a\"\ninput { name: \"x\"",
        "name: \"a\"\n}",
        "name: \"a\"\nname: \"b\n\"",
        "\nversion_policy: 3",
        "\ninput [ { } { } ]",
        "\nname: ",
    ] {
        let fault = Config::parse(bad).unwrap_err();
        assert!(fault.message.contains("config.pbtxt"), "{bad}: {fault}");
    }
    let fault = Config::parse("name: \"a\"\n\nname \"b\"").unwrap_err();
    assert!(fault.message.contains("line 3"), "{fault}");
}

#[test]
fn deep_nesting_ends_in_an_error_and_not_in_the_stack() {
    let text = "a {".repeat(100_000);
    assert!(Config::parse(&text).unwrap_err().expected.contains("32"));
}

proptest! {
    #[test]
    fn any_text_gives_a_config_or_an_error(text in "[a-z:{}<>\\[\\],;#\"'\\\\ \n0-9.é-]{0,200}") {
        let _ = Config::parse(&text);
    }
}

#[test]
fn the_backend_says_what_the_file_is_called_where_nothing_else_does() {
    let file = |text: &str| Config::parse(text).map(|config| config.file().map(str::to_owned));
    let is = |name: &str| Ok(Some(name.to_owned()));
    assert_eq!(file("backend: \"openvino\""), is("model.xml"));
    assert_eq!(file("platform: \"onnxruntime_onnx\""), is("model.onnx"));
    assert_eq!(
        file("backend: \"openvino\" default_model_filename: \"net.onnx\""),
        is("net.onnx")
    );
    assert_eq!(file("max_batch_size: 8"), Ok(None));
}
