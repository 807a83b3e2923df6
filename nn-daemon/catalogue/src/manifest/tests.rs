//! What is read of a model.toml, and what is refused.

use super::*;

fn parse(text: &str) -> Result<Manifest, Fault> {
    Manifest::parse(text, |name| {
        assert_eq!(name, "labels.txt");
        Ok("cat\ndog\n".to_owned())
    })
}

fn fault(text: &str) -> String {
    let fault = parse(text).unwrap_err();
    format!(
        "{} | {} | {} | {}",
        fault.message, fault.expected, fault.got, fault.hint
    )
}

#[test]
fn every_key_is_read() {
    let text = format!(
        r#"
        description = "Cats and dogs"
        licence = "MIT"
        source = "trained here"
        sha256 = "{}"
        tenants = ["shop"]
        backend = "onnxruntime"
        device = "cpu"
        keep_alive_ms = 60000
        threads = 4
        instances = {{ min = 2, max = 3 }}
        queue_max = 64
        compute_ms_max = 500
        load_ms_max = 20000
        [[warm_up]]
        inputs.x = {{ shape = [1, 3], fill = 0.5 }}
        inputs."a b".fill = 2
        [inputs.images]
        picture = {{ layout = "nhwc", order = "bgr", scale = 0.5, mean = [1, 2, 3] }}
        [inputs.count]
        dtype = "u8"
        [outputs.Softmax]
        softmax = true
        top_k = 2
        dtype = "fp64"
        labels_file = "labels.txt"
        [outputs."a b"]
        labels = ["x"]
        "#,
        "ab".repeat(32)
    );
    let manifest = parse(&text).unwrap();
    assert_eq!(manifest.description, "Cats and dogs");
    assert_eq!(manifest.sha256, Some(Digest([0xab; 32])));
    assert_eq!(manifest.keep_alive, Some(Duration::from_secs(60)));
    assert_eq!(manifest.threads, Some(4));
    assert_eq!(manifest.instances, Some(Instances { min: 2, max: 3 }));
    assert_eq!(manifest.queue_max, Some(64));
    assert_eq!(manifest.compute_max, Some(Duration::from_millis(500)));
    assert_eq!(manifest.load_max, Some(Duration::from_secs(20)));
    let inputs = &manifest.warm_up[0].inputs;
    assert_eq!(inputs["x"].shape, Some(vec![1, 3]));
    assert_eq!((&inputs["a b"].shape, inputs["a b"].fill), (&None, 2.0));
    assert_eq!(manifest.labels["Softmax"], ["cat", "dog"]);
    let converted = manifest.conversions();
    assert_eq!(converted.outputs["Softmax"].top_k, Some(2));
    assert_eq!(converted.outputs["Softmax"].labels, ["cat", "dog"]);
    assert!(
        !converted.outputs.contains_key("a b"),
        "labels alone convert nothing"
    );
    assert_eq!(converted.inputs.len(), 2);
    assert_eq!(manifest.labels["a b"], ["x"]);
    assert!(manifest.allows(&"shop".parse().unwrap()));
    assert!(!manifest.allows(&Tenant::default()));
}

#[test]
fn an_empty_file_says_nothing_and_forbids_nothing() {
    let manifest = parse("").unwrap();
    assert_eq!(manifest, Manifest::default());
    assert!(manifest.allows(&Tenant::default()));
}

#[test]
fn an_unknown_key_is_told_with_the_one_that_was_meant() {
    let told = fault("tenant = [\"a\"]");
    assert!(
        told.contains("unknown key tenant") && told.contains("did you mean tenants?"),
        "{told}"
    );
    let told = fault("[outputs.x]\nlabel = []");
    assert!(
        told.contains("outputs.x.label") && told.contains("outputs.x.labels?"),
        "{told}"
    );
    let told = fault("[[warm_up]]\ninputs.x.fil = 1");
    assert!(
        told.contains("did you mean warm_up.inputs.x.fill?"),
        "{told}"
    );
    let told = fault("[[warm_up]]\ninput.x.fill = 1");
    assert!(told.contains("did you mean warm_up.inputs?"), "{told}");
    let told = fault("zzz = 1");
    assert!(told.contains("compute_ms_max"), "{told}");
}

#[test]
fn conversions_that_cannot_be_meant_are_refused_with_what_can() {
    for (text, told) in [
        (
            "[inputs.x]\npicture = { means = 1 }",
            "did you mean inputs.x.picture.mean?",
        ),
        ("[inputs.x]\npictur = {}", "did you mean inputs.x.picture?"),
        ("[outputs.x]\ntopk = 5", "did you mean outputs.x.top_k?"),
        ("[inputs.x]", "says nothing"),
        ("[inputs.x]\ndtype = \"u8\"\npicture = {}", "one of them"),
        ("[inputs.x]\ndtype = \"f32\"", "there are fp16, fp32"),
        ("[inputs.x]\npicture = { fit = \"pad\" }", "line 2"),
        ("[inputs.x]\npicture = { std = [1, 0] }", "other than 0"),
        ("[inputs.x]\npicture = { scale = nan }", "finite numbers"),
        ("[inputs.x]\npicture = { size = [0, 1] }", "1 to 16384"),
        ("[outputs.x]\nsoftmax = false", "does nothing"),
        (
            "[outputs.x]\nsoftmax = \"last\"",
            "the number of a dimension",
        ),
        ("[outputs.x]\ntop_k = 0", "1 to 10000"),
        ("[outputs.x]\ntop_k = 1\nlabels = [\"a\\nb\"]", "line break"),
    ] {
        let fault = fault(text);
        assert!(fault.contains(told), "{text}: {fault}");
    }
}

#[test]
fn conversions_are_written_as_they_are_read() {
    let text = r#"
        [inputs.a]
        picture = { filter = "lanczos", size = [3, 4], channels = "last", std = 0.1 }
        [inputs."b c"]
        dtype = "bf16"
        [outputs.y]
        softmax = 1
        top_k = 3
        labels = ["x"]
        [outputs.z]
        dtype = "fp16"
    "#;
    let manifest = parse(text).unwrap();
    let again = parse(&manifest.to_text().unwrap()).unwrap();
    assert_eq!(again, manifest);
    assert_eq!(again.conversions(), manifest.conversions());
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let told = fault("load_ms_max = 2\nqueue_max = many\n");
    assert!(told.contains("line 2"), "{told}");
}

#[test]
fn values_that_cannot_be_meant_are_refused_by_their_key() {
    for (text, key) in [
        ("queue_max = -1", "line 1"),
        ("keep_alive_ms = 0", "keep_alive_ms"),
        ("queue_max = 0", "queue_max"),
        ("compute_ms_max = 0", "compute_ms_max"),
        ("load_ms_max = 99999999999", "load_ms_max"),
        ("sha256 = \"abc\"", "sha256"),
        ("tenants = []", "tenants"),
        ("[[warm_up]]\ninputs.x.fill = nan", "fill of input x"),
        ("[[warm_up]]\ninputs.x.shape = [-1]", "line 2"),
        (&"[[warm_up]]\n".repeat(9), "too many runs"),
        ("tenants = [\"/etc\"]", "tenants"),
        ("backend = \"torch\"", "backend"),
        ("device = \"gpu\"", "device"),
        ("description = \"a\\u001b[31m\"", "description"),
        (
            "[outputs.x]\nlabels = [\"a\"]\nlabels_file = \"b\"",
            "outputs.x",
        ),
        ("[outputs.x]\nlabels_file = \"../secret\"", "names a file"),
        ("[outputs.x]\nlabels_file = \".hidden\"", "names a file"),
    ] {
        let told = fault(text);
        assert!(told.contains(key), "{text}: {told}");
    }
}

#[test]
fn labels_in_all_are_bounded() {
    let labels = vec!["x".repeat(200); 2000];
    let told = Manifest::parse("[outputs.x]\nlabels_file = \"labels.txt\"", |_| {
        Ok(labels.join("\n"))
    });
    assert_eq!(told.unwrap_err().code, nn_tensor::Code::TooLarge);
}

#[test]
fn what_is_written_again_says_the_same_and_names_no_file() {
    let text = r#"
        description = "Two lines,\nand a \"quote\""
        tenants = ["a", "b"]
        compute_ms_max = 250
        [[warm_up]]
        [[warm_up]]
        inputs."odd name" = { shape = [], fill = -1.5 }
        [outputs."odd name"]
        labels_file = "labels.txt"
    "#;
    let manifest = parse(text).unwrap();
    let again = Manifest::parse(&manifest.to_text().unwrap(), |name| panic!("{name}"));
    assert_eq!(again.unwrap(), manifest);
    assert_eq!(Manifest::default().to_text().as_deref(), Ok(""));
}

#[test]
fn instances_are_a_number_or_bounds_and_are_written_as_they_are_read() {
    for (text, min, max) in [
        ("instances = 3", 3, 3),
        ("instances = { max = 4 }", 1, 4),
        ("instances = { min = 2 }", 2, 2),
        ("[instances]\nmin = 1\nmax = 16", 1, 16),
    ] {
        let manifest = parse(text).unwrap();
        assert_eq!(manifest.instances, Some(Instances { min, max }), "{text}");
        let again = parse(&manifest.to_text().unwrap()).unwrap();
        assert_eq!(again, manifest, "{text}");
    }
    assert_eq!(parse("").unwrap().instances, None);
}

#[test]
fn instances_that_cannot_be_meant_are_refused_with_what_can() {
    for (text, told) in [
        ("instances = 0", "1 to 16"),
        ("instances = 17", "1 to 16"),
        ("instances = { min = 0, max = 2 }", "1 to 16"),
        ("instances = { min = 3, max = 2 }", "at most 2"),
        ("instances = \"two\"", "a number, or { min = 1, max = 4 }"),
        ("instances = -1", "a number, or { min = 1, max = 4 }"),
        ("instances = { mim = 1 }", "did you mean instances.min?"),
    ] {
        let fault = fault(text);
        assert!(fault.contains(told), "{text}: {fault}");
    }
}

#[test]
fn what_would_be_too_long_to_be_read_again_is_not_written() {
    // Each takes six bytes more there than in its file.
    let labels = "x\n".repeat(60_000);
    let text = "[outputs.y]\nlabels_file = \"labels.txt\"";
    let manifest = Manifest::parse(text, |_| Ok(labels.clone())).unwrap();
    let fault = manifest.to_text().unwrap_err();
    assert_eq!(fault.code, nn_tensor::Code::TooLarge);
    assert!(fault.expected.contains("196608"), "{fault}");
}

#[test]
fn other_bytes_than_those_meant_are_refused() {
    let manifest = parse(&format!("sha256 = \"{}\"", "ab".repeat(32))).unwrap();
    assert!(manifest.expects(Digest([0xab; 32])).is_ok());
    let fault = manifest.expects(Digest([0xcd; 32])).unwrap_err();
    assert!(
        fault.got.contains("cdcd") && fault.expected.contains("abab"),
        "{fault}"
    );
    assert!(Manifest::default().expects(Digest([1; 32])).is_ok());
}
