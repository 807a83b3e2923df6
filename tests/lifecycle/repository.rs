//! Trees of models that other servers' users have.

use nn_tests::{Daemon, nnctl, require_backends};

use super::{Files, adds, meant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_made_for_triton_is_served_unchanged() {
    require_backends!();
    let files = Files::new();
    let config = r#"
        name: "picked"
        platform: "onnxruntime_onnx"
        max_batch_size: 0
        default_model_filename: "net.onnx"
        input [ { name: "x", data_type: TYPE_FP32, dims: [ 1 ] } ]
        output [ { name: "y", data_type: TYPE_FP32, dims: [ 1 ], label_filename: "labels.txt" } ]
        instance_group [ { count: 1, kind: KIND_CPU } ]
        dynamic_batching { max_queue_delay_microseconds: 100 }
        version_policy: { specific: { versions: [ 1, 3 ] } }
    "#;
    files.write("repo/picked/config.pbtxt", config);
    files.write("repo/picked/labels.txt", "sum\n");
    for number in 1..=4 {
        files.write(&format!("repo/picked/{number}/net.onnx"), adds(number));
    }
    files.write("repo/plain/7/model.onnx", adds(7));
    files.write("repo/other/config.pbtxt", "backend: \"tensorrt\"");
    files.write("repo/other/1/model.plan", "x");

    let daemon = Daemon::builder()
        .with_repository(&files.path().join("repo"))
        .start();

    let client = daemon.client();
    assert_eq!(meant(&client, "picked").await, Ok(3.0));
    assert_eq!(meant(&client, "picked@1").await, Ok(1.0));
    assert!(meant(&client, "picked@4").await.is_err());
    assert_eq!(meant(&client, "plain").await, Ok(7.0));
    let described = nnctl(&daemon, &["describe", "picked"]).ok().stdout;
    assert!(described.contains("labels       y: sum (1)"), "{described}");
    let log = daemon.log();
    assert!(
        log.contains("picked: config.pbtxt: without effect here: dynamic_batching"),
        "{log}"
    );
    assert!(
        log.contains("other is left out") && log.contains("tensorrt"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_decided_of_a_repositorys_model_holds_after_a_restart() {
    require_backends!();
    let files = Files::new();
    for number in 1..=2 {
        files.write(&format!("repo/foo/{number}/model.onnx"), adds(number));
    }
    let mut daemon = Daemon::builder()
        .with_repository(&files.path().join("repo"))
        .start();
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(2.0));
    nnctl(&daemon, &["promote", "foo@1"]).success();
    nnctl(&daemon, &["alias", "foo@2", "next"]).success();

    tokio::task::block_in_place(|| {
        assert!(daemon.terminate());
        daemon.restart();
    });
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(1.0));
    assert_eq!(meant(&daemon.client(), "foo:next").await, Ok(2.0));

    // A version that has come since is news, and becomes current.
    files.write("repo/foo/3/model.onnx", adds(3));
    tokio::task::block_in_place(|| {
        assert!(daemon.terminate());
        daemon.restart();
    });
    let client = daemon.client();
    let mut now = 0.0;
    for _ in 0..500 {
        now = meant(&client, "foo").await.unwrap();
        if now > 2.0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!((now - 3.0).abs() < f32::EPSILON, "{now}");
}

#[test]
fn a_link_out_of_the_repository_is_not_followed() {
    require_backends!();
    let files = Files::new();
    let outside = files.write("outside.onnx", adds(1));
    files.write("repo/foo/2/model.onnx", adds(2));
    std::fs::create_dir_all(files.path().join("repo/foo/1")).unwrap();
    std::os::unix::fs::symlink(outside, files.path().join("repo/foo/1/model.onnx")).unwrap();
    let daemon = Daemon::builder()
        .with_repository(&files.path().join("repo"))
        .start();
    assert_eq!(daemon.models().len(), 1, "{:?}", daemon.models());
}
