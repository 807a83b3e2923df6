//! Guests as their authors run them: real pictures and sentences through `nn-host run`, and what they
//! are told when something is wrong.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it"
)]

use std::path::{Path, PathBuf};

use nn_tests::{
    Daemon, GuestHost, Output, built_guest, guest_wasm, model_repository, nn_host, nn_host_with,
    processes_with, require_backends, run, run_in, tiny_model,
};

/// The first line of `wit-classify`: class, probability, label.
fn top(output: &Output) -> (u32, f32, String) {
    let line = output.stdout.lines().next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, class, probability, label @ ..] = words.as_slice() else {
        panic!("{output:?}")
    };
    (
        class.parse().unwrap(),
        probability.parse().unwrap(),
        label.join(" "),
    )
}

#[test]
fn coffee_is_an_espresso_and_chelsea_an_egyptian_cat() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let picture = |name: &str| format!("/data/pictures/{name}.png");
    let coffee = nn_host(
        &daemon,
        "wit-classify",
        &["efficientnet-lite0", &picture("coffee")],
    )
    .ok();
    let chelsea = nn_host(
        &daemon,
        "wit-classify",
        &["efficientnet-lite0", &picture("chelsea")],
    )
    .ok();
    let (class, probability, label) = top(&coffee);
    assert!(
        class == 967 && probability >= 0.90 && label == "espresso",
        "{coffee:?}"
    );
    assert_eq!(
        (top(&chelsea).0, top(&chelsea).2),
        (285, "Egyptian cat".into())
    );
}

#[test]
fn like_sentences_are_alike_and_others_are_not() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let tokenizer = [
        "--tokenizer",
        "/data/minilm/tokenizer.json",
        "minilm-l6-int8",
    ];
    let output = nn_host(&daemon, "wit-embed", &tokenizer).ok();
    let cosines: Vec<f32> = output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    let [alike, others @ ..] = cosines.as_slice() else {
        panic!("{output:?}")
    };
    assert!(
        *alike >= 0.6 && others.iter().all(|other| *other <= 0.1),
        "{output:?}"
    );
}

#[test]
fn an_unknown_name_and_a_malformed_one_are_told_apart() {
    require_backends!();
    let daemon = Daemon::start();
    let output = nn_host(
        &daemon,
        "wit-cases",
        &["noname", "nobody", "foo@9", "no body", "foo@0"],
    );
    let codes: Vec<&str> = output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().nth(1).unwrap_or(""))
        .collect();
    assert_eq!(
        codes,
        [
            "not-found",
            "not-found",
            "invalid-argument",
            "invalid-argument"
        ],
        "{output:?}"
    );
}

#[test]
fn a_wrong_shape_is_answered_by_what_was_expected_and_what_came() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let wrong = ["run", "efficientnet-lite0", "1", "images=fp32:1x3x10x10:0"];
    let output = nn_host(&daemon, "wit-cases", &wrong);
    let line = output.stdout.lines().next().unwrap_or_default();
    assert!(line.starts_with("error invalid-argument"), "{output:?}");
    assert!(
        line.contains("[?, 3, 224, 224]") && line.contains("[1, 3, 10, 10]"),
        "{output:?}"
    );
    assert!(line.contains("hint:"), "{output:?}");
}

#[test]
fn a_tensor_of_the_wrong_length_is_an_invalid_argument() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("echo", &tiny_model("identity-fp32"));
    let output = nn_host(
        &daemon,
        "wit-cases",
        &["bytes", "echo", "input", "fp32", "4", "15"],
    );
    assert!(
        output.stdout.starts_with("error invalid-argument"),
        "{output:?}"
    );
}

#[test]
fn tensors_read_back_as_they_were_made() {
    require_backends!();
    let daemon = Daemon::start();
    let output = nn_host(&daemon, "wit-cases", &["tensor"]).ok();
    assert!(output.stdout.ends_with("ok tensors=105\n"), "{output:?}");
}

/// What a guest prints of the answer to one input that all of them make alike.
fn checksum(daemon: &Daemon, guest: &Path) -> Output {
    let args = ["--fill", "lcg:7", "--checksum", "efficientnet-lite0"];
    nn_host_with(daemon, &["--witx-dialect", "0.6"], guest, &args).ok()
}

/// The guests that are too large to be checked in, where they have been built:
/// `cargo xtask guests --out target/nn/guests python-classify js-classify`.
#[expect(clippy::print_stdout, reason = "a test says what it skips")]
fn large_guests() -> Vec<PathBuf> {
    let built = ["python-classify", "js-classify"].map(built_guest);
    for guest in built.iter().filter(|guest| !guest.is_file()) {
        println!("skipped: {} is not built", guest.display());
    }
    built.into_iter().filter(|guest| guest.is_file()).collect()
}

#[test]
fn both_abis_and_every_language_answer_the_same() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let small = ["wit-classify", "witx-classify", "c-classify"].map(guest_wasm);
    let guests = small.into_iter().chain(large_guests());
    let answers: Vec<String> = guests
        .map(|guest| checksum(&daemon, &guest).stdout)
        .collect();
    let [first, others @ ..] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert_eq!(first.trim().len(), 16, "{answers:?}");
    assert!(others.iter().all(|other| other == first), "{answers:?}");
}

/// What `nn-guest` promises, a line for each thing that is tried, over one of its two interfaces.
fn values(guest: &str) -> Vec<String> {
    let daemon = Daemon::start();
    for model in ["add-f32", "matmul-f32", "two-outputs", "any-bf16"] {
        daemon.load(model, &tiny_model(model));
    }
    let output = nn_host(&daemon, guest, &[]).ok();
    output.stdout.lines().map(str::to_owned).collect()
}

/// What a component and a core module of the same source both print.
const ALIKE: [&str; 16] = [
    "sum: [11.0, 22.0]",
    "longer: [2.0, 3.0, 4.0]",
    "shorter: [11.0]",
    "after: [15.0]",
    "context: [2.0]",
    "context: [2.0]",
    "state: 6.0",
    "apart: invalid-argument: the model has another number of outputs; expected: 2; got: 1",
    "large: 100000 true",
    "large: 100000 true",
    "small: [3.0]",
    "still: [3.0]",
    "shape: Some([2])",
    "third: invalid-argument: the model has no such output; expected: an index below 2; got: 2",
    "nobody: not-found: there is",
    "no name: invalid-argument: ",
];

/// Whether each of these begins a line of its own, in this order.
fn in_order(lines: &[String], beginnings: &[&str]) -> bool {
    let mut lines = lines.iter();
    beginnings
        .iter()
        .all(|beginning| lines.any(|line| line.starts_with(beginning)))
}

#[test]
fn the_same_source_computes_alike_as_a_component_and_as_a_core_module() {
    require_backends!();
    let [component, core_module] = ["wit-values", "witx-values"].map(values);
    assert!(in_order(&component, &ALIKE), "{component:#?}");
    assert!(in_order(&core_module, &ALIKE), "{core_module:#?}");
    assert_eq!(component.len(), core_module.len());
}

#[test]
fn a_component_has_names_types_dimensions_and_the_hosts_own_texts() {
    require_backends!();
    let lines = values("wit-values");
    let told = [
        "fewer: invalid-argument: input b is missing; expected: fp32 [?]",
        "type: invalid-argument: input a has another element type than the model takes; expected: fp32 [?]; got: i64 [1]",
        "more: invalid-argument: the model has no input 2",
        r#"output: (Some("negated"), Some(Fp32), Some([2])) [-1.5, -2.0]"#,
        r#"output: (Some("total"), Some(Fp32), Some([])) [3.5]"#,
        "by name: [3.5]",
        r#"no such name: invalid-argument: the model has no output of this name; expected: one of ["negated", "total"]"#,
        "other shape: invalid-argument: the tensor has another shape; expected: 3 elements for fp32 [3], 12 bytes; got: fp32 [2]",
        "named: [11.0]",
        "bf16: [128, 63]",
    ];
    assert!(in_order(&lines, &told), "{lines:#?}");
}

#[test]
fn a_core_module_is_told_what_its_interface_has_no_way_to_say() {
    require_backends!();
    let lines = values("witx-values");
    let told = [
        "fewer: invalid-argument: inputs are missing; expected: 2 inputs, as before; got: 1",
        "type: invalid-argument: the host refuses what it was given (set_input); got: i64 [1] as input 0; hint: ",
        "more: invalid-argument: the host refuses what it was given (set_input); got: fp32 [1] as input 2; hint: ",
        "output: (None, None, None) [-1.5, -2.0]",
        "output: (None, None, None) [3.5]",
        "by name: unsupported-operation: ",
        "no such name: unsupported-operation: ",
        "other shape: invalid-argument: the tensor has another shape; expected: 3 elements for fp32 [3], 12 bytes; got: 8 bytes",
        "named: unsupported-operation: ",
        "bf16: unsupported-operation: ",
    ];
    assert!(in_order(&lines, &told), "{lines:#?}");
}

#[test]
fn the_classifiers_of_both_interfaces_are_one_source() {
    let source = |guest: &str| {
        let path = format!(
            "{}/../guests/{guest}/src/main.rs",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::read_to_string(path).unwrap()
    };
    assert_eq!(source("wit-classify"), source("witx-classify"));
}

#[test]
fn a_core_module_that_may_not_have_a_model_says_so_as_a_component_does() {
    require_backends!();
    let daemon = Daemon::start();
    let said = ["wit-classify", "witx-classify"].map(|guest| {
        let output = nn_host(&daemon, guest, &["--fill", "lcg:7", "nobody"]);
        (output.code, output.stderr)
    });
    let right = said.iter().all(|(code, error)| {
        *code == Some(1)
            && error.contains("error: not-found: ")
            && error.contains("hint: `nnctl list`")
    });
    assert!(right, "{said:?}");
}

#[test]
fn bytes_that_are_no_model_are_refused_for_what_they_are() {
    require_backends!();
    let daemon = Daemon::start();
    let model = ["load-bytes", "/data/imagenet-1k.txt"];
    let output = nn_host(&daemon, "wit-cases", &model);
    assert!(
        output.stdout.starts_with("error invalid-encoding"),
        "{output:?}"
    );
    assert!(output.stdout.contains("text"), "{output:?}");
}

#[test]
fn a_guest_beyond_its_memory_fails_alone() {
    require_backends!();
    let daemon = Daemon::start();
    let small = nn_host(&daemon, "wit-cases", &["alloc", "16"]);
    let large = nn_host(&daemon, "wit-cases", &["alloc", "3000"]);
    assert_eq!(small.code, Some(0), "{small:?}");
    assert_ne!(large.code, Some(0), "{large:?}");
}

#[test]
fn a_spinning_guest_is_stopped_when_its_time_is_over() {
    require_backends!();
    let daemon = Daemon::start();
    let (socket, guest) = (daemon.socket(), guest_wasm("wit-cases"));
    let (socket, guest) = (socket.to_str().unwrap(), guest.to_str().unwrap());
    let output = run(
        "nn-host",
        &["run", "--socket", socket, "--timeout", "1", guest, "spin"],
    );
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stdout.starts_with("ok spinning"), "{output:?}");
}

#[test]
fn a_private_daemon_serves_one_guest_and_leaves_nothing() {
    require_backends!();
    let dir = tempfile::tempdir().unwrap();
    let (repository, guest) = (model_repository(), guest_wasm("wit-classify"));
    let (repository, guest) = (repository.to_str().unwrap(), guest.to_str().unwrap());
    let args = [
        "run",
        "--spawn-daemon",
        "--model-repository",
        repository,
        guest,
        "efficientnet-lite0",
    ];
    let output = run_in(dir.path(), "nn-host", &args).ok();
    assert_eq!(top(&output).0, 967, "{output:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let ours = dir.path().to_str().unwrap();
    assert_eq!(processes_with(ours), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_freed_when_a_store_drops() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("echo", &tiny_model("identity-fp32"));
    let client = daemon.client();
    let guest = GuestHost::new(&client).guest("wit-cases");
    let leaking = ["leak", "echo", "20", "input=fp32:10000:ramp"];
    let trapping = ["trap", "echo", "20", "input=fp32:10000:ramp"];

    let (printed, ok) = guest.run(&leaking).await.unwrap();
    assert!(ok && printed.starts_with("ok held=20"), "{printed}");
    assert!(guest.run(&trapping).await.is_err());

    let stats = client.stats();
    assert_eq!(
        (stats.in_slots, stats.out_slots, stats.in_flight),
        (0, 0, 0)
    );
}
