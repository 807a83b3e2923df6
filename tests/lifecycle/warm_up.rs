//! Runs of each worker before it counts as ready: done, unseen afterwards, and the end of a version that fails them.

use nn_onnx_writer::{FLOAT, attribute, graph, model, node, tensor, value};
use nn_tensor::Code;
use nn_tests::{Daemon, kill, nnctl, require_backends, tiny_model, wait_until};

use super::{Files, SOON, adds, asked, events, load, meant, states};

/// ONNX's number of 64-bit integers.
const INT64: i64 = 7;

/// A model that adds to its input what a table of three 2s has at the place that the input names: it fails beyond.
fn picks() -> Vec<u8> {
    let one = value::fixed(&[1]);
    let cast = [
        node::of(&["x"], &["place"], "Cast"),
        node::attribute(&attribute::integer("to", INT64)),
    ];
    let content = [
        graph::node(&cast.concat()),
        graph::node(&node::of(&["table", "place"], &["number"], "Gather")),
        graph::node(&node::of(&["x", "number"], &["y"], "Add")),
        graph::name("picks"),
        graph::initializer(&tensor::floats("table", &[2.0, 2.0, 2.0])),
        graph::input(&value::of("x", FLOAT, Some(&one))),
        graph::output(&value::of("y", FLOAT, Some(&one))),
    ];
    model::of(&content.concat(), 17)
}

fn manifest(files: &Files, text: &str) -> [String; 2] {
    let path = files.write("model.toml", text);
    ["--manifest".to_owned(), path.to_str().unwrap().to_owned()]
}

fn words(manifest: &[String; 2]) -> [&str; 2] {
    [&manifest[0], &manifest[1]]
}

fn computes(daemon: &Daemon) -> (u64, u64) {
    let of = |key: &str| daemon.models()[0][key].as_u64().unwrap();
    (of("computes_ok"), of("computes_failed"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_worker_runs_the_warm_up_and_nothing_of_it_is_seen_but_the_state() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let twice = manifest(&files, "[[warm_up]]\n[[warm_up]]\ninputs.x.fill = 1.5\n");
    load(&daemon, "foo", &files.adds(1), &words(&twice)).success();
    let told = events(&daemon, "state");
    let details: Vec<&str> = told
        .iter()
        .map(|event| event["detail"].as_str().unwrap())
        .collect();
    assert_eq!(
        details,
        ["absent → loading", "loading → warming", "warming → ready"]
    );
    assert_eq!(computes(&daemon), (0, 0));
    let client = daemon.client();
    let graph = client.resolve("foo").await.unwrap();
    assert_eq!(asked(&graph).await, Ok(1.0));

    tokio::task::block_in_place(|| {
        let first = daemon.workers()[0];
        kill(first);
        wait_until("another serves", SOON, || {
            states(&daemon, "foo") == ["ready"]
                && daemon.workers().first().is_some_and(|&pid| pid != first)
        });
    });
    assert_eq!(asked(&graph).await, Ok(1.0));
    assert_eq!(computes(&daemon), (2, 0));
    drop(graph);
    nnctl(&daemon, &["unload", "foo"]).success();
    tokio::task::block_in_place(|| {
        // Two of its own and the one that was asked for.
        wait_until("the second worker says what it ran", SOON, || {
            daemon.log().contains("3 jobs;")
        });
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spares_and_workers_of_tenants_are_warm_too() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_workers("warm_spare = true\nisolation = \"tenant\"\n")
        .start();
    let files = Files::new();
    let once = manifest(&files, "[[warm_up]]\n");
    load(&daemon, "foo", &files.adds(1), &words(&once)).success();
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(1.0));
    tokio::task::block_in_place(|| {
        wait_until("a spare waits", SOON, || {
            let instances = daemon.models()[0]["instances"].as_array().cloned();
            instances.is_some_and(|all| all.iter().any(|one| one["spare"] == true))
        });
        nnctl(&daemon, &["unload", "foo"]).success();
        wait_until("both say what they ran", SOON, || {
            let log = daemon.log();
            log.contains("2 jobs;") && log.contains("1 jobs;")
        });
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_whose_warm_up_fails_is_never_promoted_and_the_old_one_goes_on() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let client = daemon.client();
    let model = files.write("picks.onnx", picks());
    let beyond = manifest(&files, "[[warm_up]]\n[[warm_up]]\ninputs.x.fill = 7\n");
    let told = load(&daemon, "foo", &model, &words(&beyond));
    assert!(told.code != Some(0), "{told:?}");
    assert!(told.stderr.contains("warm-up run 2 of 2"), "{told:?}");
    assert_eq!(meant(&client, "foo").await, Ok(1.0));
    assert_eq!(states(&daemon, "foo"), ["ready"]);
    assert_eq!(daemon.workers().len(), 1);

    let within = manifest(&files, "[[warm_up]]\n[[warm_up]]\ninputs.x.fill = 2\n");
    load(&daemon, "foo", &model, &words(&within)).success();
    assert_eq!(meant(&client, "foo").await, Ok(2.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_up_that_takes_longer_than_a_call_may_is_told_so_and_its_worker_is_gone() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let long = manifest(
        &files,
        "compute_ms_max = 100\n[[warm_up]]\ninputs.iterations.fill = 100000000\n\
         inputs.value.shape = [1]\n",
    );
    let told = load(&daemon, "slow", &tiny_model("slow-f32"), &words(&long));
    assert!(told.code != Some(0), "{told:?}");
    assert!(
        told.stderr.contains("warm-up run 1 of 1 took too long")
            && told.stderr.contains("compute_ms_max"),
        "{told:?}"
    );
    tokio::task::block_in_place(|| {
        wait_until("its worker is gone", SOON, || daemon.workers().is_empty());
    });
    assert!(daemon.models().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_up_that_does_not_fit_is_refused_before_a_worker_with_what_was_meant() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let model = files.write("1.onnx", adds(1));
    let refused = |text: &str| {
        let told = load(&daemon, "foo", &model, &words(&manifest(&files, text)));
        assert!(told.code != Some(0), "{told:?}");
        told.stderr
    };
    let name = refused("[[warm_up]]\ninputs.xx.fill = 1\n");
    assert!(
        name.contains("no input xx") && name.contains("did you mean inputs.x?"),
        "{name}"
    );
    let shape = refused("[[warm_up]]\ninputs.x.shape = [2]\n");
    assert!(
        shape.contains("fp32 [1]") && shape.contains("fp32 [2]"),
        "{shape}"
    );
    let key = refused("[[warm_up]]\ninputs.x.shap = [1]\n");
    assert!(key.contains("warm_up.inputs.x.shape"), "{key}");
    assert!(daemon.models().is_empty());
    assert_eq!(events(&daemon, "stored"), Vec::<serde_json::Value>::new());

    let client = daemon.client();
    let unknown = meant(&client, "foo").await.unwrap_err();
    assert_eq!(unknown.code, Code::NotFound);
}
