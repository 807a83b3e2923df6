//! Calls that are measured: each is one that the daemon has had.

use nn_tests::{Daemon, nnctl, require_backends, tiny_model};

use crate::{Files, text};

#[test]
fn every_call_that_is_measured_is_one_that_the_daemon_has_had() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("sum", files.sum().as_ref());
    let b = format!("b={}", files.ones("b.npy", 3));
    let words = ["bench", "sum", "--shape", "a=3", "--input", &b];
    let long = ["--seconds", "1", "--concurrency", "2"];
    let measured = daemon.json(&[words.as_slice(), &long].concat());

    let calls = measured["calls"].as_u64().unwrap();
    assert!(calls > 20, "{measured}");
    assert_eq!(
        (&measured["failed"], &measured["concurrency"]),
        (&0.into(), &2.into())
    );
    let of = |name: &str| measured[name].as_u64().unwrap();
    let lengths = [of("p50_us"), of("p90_us"), of("p99_us"), of("max_us")];
    assert!(lengths.is_sorted() && lengths[0] > 0, "{measured}");
    let rate = measured["calls_per_second"].as_f64().unwrap();
    assert!(rate > 20.0 && rate <= calls as f64, "{measured}");
    let random = [0, 1].map(|at| measured["inputs"][at]["random"].as_bool().unwrap());
    assert_eq!(random, [false, true]);

    // The first call of the connection is not measured.
    let model = &daemon.models()[0];
    assert_eq!(model["computes_ok"], calls + 1);
    assert_eq!(model["latency"]["computes"], calls + 1);
    assert!(
        model["latency"]["p50_us"].as_u64().unwrap() <= of("p50_us"),
        "{model}\n{measured}"
    );
    let described = nnctl(&daemon, &["describe", "sum"]).ok().stdout;
    assert!(described.contains("\nlatency      p50 "), "{described}");
    assert!(described.contains("\nmemory       "), "{described}");
}

#[test]
fn a_shape_that_the_model_leaves_open_is_asked_for() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("sum", files.sum().as_ref());
    let refused = nnctl(&daemon, &["bench", "sum", "--shape", "b=3"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("--shape a=1"), "{refused:?}");
    let beyond = nnctl(
        &daemon,
        &["bench", "sum", "--shape", "a=4000000000", "--shape", "b=1"],
    );
    assert_eq!(beyond.code, Some(1));
    assert!(
        beyond.stderr.contains("limits.tensor_bytes_max") || beyond.stderr.contains("expected"),
        "{beyond:?}"
    );
}

#[test]
fn calls_that_are_refused_are_counted_by_their_code() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let said = files.write("model.toml", "queue_max = 1\n");
    let model = text(&tiny_model("slow-f32"));
    nnctl(&daemon, &["load", "slow", &model, "--manifest", &said]).success();
    let iterations = files.npy("n.npy", "<i8", (0, &2000_i64.to_le_bytes()));
    let iterations = format!("iterations={iterations}");
    let words = [
        "bench",
        "slow",
        "--input",
        &iterations,
        "--shape",
        "value=1",
    ];
    let long = ["--seconds", "1", "--concurrency", "16"];
    let measured = daemon.json(&[words.as_slice(), &long].concat());
    assert_eq!(measured["failures"][0]["code"], "busy", "{measured}");
    assert_eq!(measured["failures"][0]["count"], measured["failed"]);
    assert!(measured["calls"].as_u64().unwrap() > 0, "{measured}");
}
