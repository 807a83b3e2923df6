//! One table of cases over both ABIs: a component and a core module follow the same steps, each case in a
//! store of its own, and print what ONNX Runtime alone answers, to the bit; failures are compared by the one
//! mapping of codes in `abi/case.rs`.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it"
)]

#[path = "abi/case.rs"]
mod case;
#[path = "abi/dialects.rs"]
mod dialects;
#[path = "abi/fill.rs"]
mod fill;
#[path = "abi/oracle.rs"]
mod oracle;
#[path = "abi/refusals.rs"]
mod refusals;
#[path = "abi/table.rs"]
mod table;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use nn_client::Client;
use nn_host_shim::witx::Dialect;
use nn_tests::{Daemon, Guest, GuestHost, require_backends, tiny_model, wait_until};

use case::{Abi, Case};
use oracle::{Oracle, References, model_of, split};

/// What one case may take.
const PATIENCE: Duration = Duration::from_secs(60);

const SOON: Duration = Duration::from_secs(10);

/// A daemon, and both guests in this process.
struct Scene {
    daemon: Daemon,
    client: Client,
    host: GuestHost,
    wit: Guest,
    witx: Guest,
    /// What the core module is told before its case.
    prefix: Vec<&'static str>,
    _junk: tempfile::TempDir,
}

/// Files that are no models: `/junk` of the guests.
fn junk(dir: &Path) {
    let model = std::fs::read(tiny_model("add-f32")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.join(name), bytes).unwrap();
    write("nothing", b"");
    write("text", b"This is no model, and no part of one.\n");
    write("zeros", &[0; 4096]);
    write("half", &model[..model.len() / 2]);
}

// === impl Scene ===

impl Scene {
    fn new() -> Self {
        let daemon = Daemon::start();
        let dir = tempfile::tempdir().unwrap();
        junk(dir.path());
        let echo = tiny_model("echo-f32");
        let client = daemon.client();
        let host = GuestHost::new(&client)
            .with_dir(echo.parent().unwrap(), "/models")
            .with_dir(dir.path(), "/junk");
        Self {
            wit: host.guest("wit-cases"),
            witx: host.guest("witx-cases"),
            prefix: Vec::new(),
            client,
            host,
            daemon,
            _junk: dir,
        }
    }

    /// Has the operator load what the cases ask for by name.
    fn load(&self, cases: &[Case]) {
        let steps = cases.iter().flat_map(|case| case.steps);
        let models: BTreeSet<&str> = steps.filter_map(|step| model_of(step)).collect();
        for model in models {
            self.daemon.load(model, &tiny_model(model));
        }
    }

    /// What a case printed that it should not have, in this ABI.
    async fn differs(&self, case: &Case, abi: Abi, references: &mut References) -> Option<String> {
        let expected = Oracle::new(abi, references).lines(case.steps);
        let (guest, mut args) = match abi {
            Abi::Wit => (&self.wit, Vec::new()),
            Abi::Witx => (&self.witx, self.prefix.clone()),
        };
        args.push("table");
        args.extend(case.steps.iter().map(|step| split(step).0));
        let ran = tokio::time::timeout(PATIENCE, guest.run(&args)).await;
        let printed = match ran {
            Ok(Ok((printed, _))) if printed == expected => return None,
            Ok(Ok((printed, _))) => printed,
            Ok(Err(trap)) => format!("a trap: {trap:?}"),
            Err(_) => format!("nothing within {PATIENCE:?}"),
        };
        let name = case.name;
        Some(format!(
            "{name}, {abi:?}\n--- printed\n{printed}\n--- expected\n{expected}"
        ))
    }
}

/// Runs a group of the table over both ABIs.
async fn check(cases: &[Case]) {
    let scene = Scene::new();
    scene.load(cases);
    let mut references = References::default();
    let mut wrong = Vec::new();
    for case in cases {
        for &abi in case.abis {
            wrong.extend(scene.differs(case, abi, &mut references).await);
        }
    }
    let stats = scene.client.stats();
    println!("{} cases, {} differ; {stats:?}", cases.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        (stats.in_slots, stats.out_slots, stats.in_flight),
        (0, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_goes_through_both_abis_in_every_rank() {
    require_backends!();
    check(table::TYPES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shape_is_answered_as_onnx_runtime_alone_answers_it() {
    require_backends!();
    check(table::SHAPES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_inputs_and_outputs_keep_their_order_and_types() {
    require_backends!();
    check(table::COUNTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_and_graphs_do_not_mix() {
    require_backends!();
    check(table::STATE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_has_the_same_code_in_both_abis_and_the_next_call_works() {
    require_backends!();
    check(refusals::REFUSALS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_are_found_by_name_and_by_index() {
    require_backends!();
    check(refusals::NAMES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_models_are_read_alike_in_both_abis() {
    require_backends!();
    check(refusals::MODELS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_load_from_bytes_alike_in_both_abis() {
    require_backends!();
    check(refusals::BYTES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scalars_output_has_no_dimensions_however_its_input_was_written() {
    require_backends!();
    let scene = Scene::new();
    scene.daemon.load("scalar", &tiny_model("scalar"));
    for input in ["input=fp32:scalar:5", "input=fp32:1:5"] {
        let (printed, ok) = scene.wit.run(&["run", "scalar", "1", input]).await.unwrap();
        assert!(
            ok && printed.starts_with("ok output fp32 scalar "),
            "{input}: {printed}"
        );
    }
}

/// A model gets a new version while a guest that holds the old one waits for a slow compute.
async fn renew(scene: &Scene, guest: &Guest, model: &str) {
    scene.daemon.load(model, &tiny_model("echo-f32"));
    let name = format!("name:{model}");
    let input = |context: u32| format!("in:{context}:0=fp32:3:ramp");
    let (held, renewed) = (input(0), input(2));
    let steps = [
        ["table", &name, "ctx:0", &held, "compute:0", "out:0:0"].as_slice(),
        &[
            "name:slow-f32",
            "ctx:1",
            "in:1:0=i64:scalar:400000",
            "in:1:1=fp32:1:1",
            "compute:1",
        ],
        &[
            "compute:0",
            "out:0:0",
            &name,
            "ctx:2",
            &renewed,
            "compute:2",
            "out:2:0",
        ],
    ]
    .concat();
    let args: Vec<String> = steps.iter().map(|&step| step.to_owned()).collect();
    let guest = guest.clone();
    let run = async move {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        guest.run(&args).await.unwrap().0
    };
    let running = tokio::spawn(run);
    // Only the slow model has two inputs.
    wait_until("the slow compute runs", SOON, || {
        let stats = scene.client.stats();
        stats.in_flight == 1 && stats.in_slots >= 2
    });
    scene.daemon.load(model, &tiny_model("two-outputs"));
    assert!(!running.is_finished(), "the slow compute ended too soon");

    let printed = running.await.unwrap();
    let ramp = fill::parse("fp32:3:ramp").bytes;
    let (numbers, _) = ramp.as_chunks();
    let negate = |number: &[u8; 4]| (-f32::from_le_bytes(*number)).to_le_bytes();
    let negated: Vec<u8> = numbers.iter().flat_map(negate).collect();
    let lines =
        [&ramp, &ramp, &negated].map(|bytes| format!("out 0 12 {}\n", fill::checksum(bytes)));
    assert_eq!(printed, lines.concat() + "ok steps=17 failed=0\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_graph_keeps_its_version_and_the_next_load_gets_the_new_one() {
    require_backends!();
    let scene = Scene::new();
    scene.daemon.load("slow-f32", &tiny_model("slow-f32"));
    renew(&scene, &scene.wit, "for-wit").await;
    renew(&scene, &scene.witx, "for-witx").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_of_another_dialect_is_served_by_its_own_numbers_and_told_of_wrong_ones() {
    require_backends!();
    let mut scene = Scene::new();
    let groups = dialects::DIALECTS;
    for group in groups {
        scene.load(group.cases);
    }
    let mut references = References::default();
    let mut wrong = Vec::new();
    for group in groups {
        let dialect: Dialect = group.host.parse().unwrap();
        scene.witx = scene.host.clone().with_dialect(dialect).guest("witx-cases");
        scene.prefix = vec!["--dialect", group.guest];
        for case in group.cases {
            let differs = scene.differs(case, Abi::Witx, &mut references).await;
            wrong.extend(
                differs.map(|text| format!("{} under {}: {text}", group.guest, group.host)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
