//! What a model may name, and what is said where it names something else.

use nn_tests::{Daemon, nnctl, require_backends, tiny_model, until};

use super::{SOON, add, beside, engine, place, said};

#[test]
fn without_endpoints_in_the_configuration_no_model_is_placed() {
    require_backends!();
    let daemon = Daemon::start();
    let args = [
        "load",
        "add",
        "--placement",
        "kserve",
        "--endpoint",
        "127.0.0.1:1",
    ];
    let refused = nnctl(&daemon, &args);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for word in ["placement-off", "[remote] endpoints"] {
        assert!(
            refused.stderr.contains(word),
            "{word:?}: {}",
            refused.stderr
        );
    }
    assert!(daemon.models().is_empty());
    assert!(daemon.status()["remote"].is_null());
}

#[test]
fn an_endpoint_that_is_not_listed_is_refused_by_its_name() {
    require_backends!();
    let engine = engine(&[]);
    let daemon = beside(&engine).start();
    let args = [
        "load",
        "add",
        "--placement",
        "kserve",
        "--endpoint",
        "127.0.0.1:1",
    ];
    let refused = nnctl(&daemon, &args);
    for word in ["placement-off", "127.0.0.1:1", &engine.address()] {
        assert!(
            refused.stderr.contains(word),
            "{word:?}: {}",
            refused.stderr
        );
    }
    let status = daemon.status();
    assert_eq!(status["remote"]["endpoints"][0], engine.address().as_str());
    assert_eq!(status["remote"]["available"], true);
    assert_eq!(engine.connections(), 0);
}

#[test]
fn a_model_that_the_engine_has_not_is_not_loaded() {
    require_backends!();
    let engine = engine(&[]);
    let daemon = beside(&engine).start();
    let address = engine.address();
    let args = [
        "load",
        "add",
        "--placement",
        "kserve",
        "--endpoint",
        &address,
    ];
    let refused = nnctl(&daemon, &args);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stderr.contains("remote-"), "{}", refused.stderr);
    assert!(daemon.models().is_empty());
}

#[test]
fn what_is_only_elsewhere_is_not_computed_here() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    place(&daemon, "add", &said(&engine, "add-f32", ""));
    let refused = nnctl(&daemon, &["place", "add", "local"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(
        refused.stderr.contains("placement-file"),
        "{}",
        refused.stderr
    );
    daemon.load("here", &tiny_model("add-f32"));
    let refused = nnctl(&daemon, &["place", "here", "kserve"]);
    assert!(
        refused.stderr.contains("placement-unsaid"),
        "{}",
        refused.stderr
    );
}

#[test]
fn another_model_is_not_put_in_its_place() {
    require_backends!();
    let engine = engine(&["scalar"]);
    let daemon = beside(&engine).start();
    let manifest = said(&engine, "scalar", "").replace("placement = \"kserve\"\n", "");
    super::place_with_file(&daemon, "add", (&manifest, "add-f32"));
    let refused = nnctl(&daemon, &["place", "add", "kserve"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(
        refused.stderr.contains("placement-differs"),
        "{}",
        refused.stderr
    );
    assert_eq!(daemon.models()[0]["placement"], "local");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_needs_no_model_file_of_what_is_elsewhere() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let repository = tempfile::tempdir().unwrap();
    let version = repository.path().join("far/3");
    std::fs::create_dir_all(&version).unwrap();
    let bare = repository.path().join("bare");
    std::fs::create_dir_all(&bare).unwrap();
    for folder in [&version, &bare] {
        std::fs::write(folder.join("model.toml"), said(&engine, "add-f32", "")).unwrap();
    }
    let daemon = beside(&engine).with_repository(repository.path()).start();
    let client = daemon.client();
    for name in ["far@3", "bare@1"] {
        let answer = add(&client, name, (&[1.0], &[2.0]), None).await.unwrap();
        assert_eq!(answer, [3.0], "{name}");
    }
    until("both are ready", SOON, || {
        let models = daemon.models();
        models.len() == 2 && models.iter().all(|model| model["state"] == "ready")
    })
    .await;
    assert!(
        daemon
            .models()
            .iter()
            .all(|model| model["placement"] == "kserve")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_see_what_is_theirs_as_of_other_models() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    let manifest = format!("tenants = [\"shop\"]\n{}", said(&engine, "add-f32", ""));
    place(&daemon, "add", &manifest);
    let shop = nn_client::Client::new(daemon.socket(), "shop".parse().unwrap());
    assert_eq!(
        add(&shop, "add", (&[1.0], &[2.0]), None).await.unwrap(),
        [3.0]
    );
    let other = add(&daemon.client(), "add", (&[1.0], &[2.0]), None).await;
    assert_eq!(other.unwrap_err().code, nn_tensor::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tenant_has_a_relay_of_its_own_where_each_has_a_worker() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine)
        .with_workers("isolation = \"tenant\"")
        .start();
    place(&daemon, "add", &said(&engine, "add-f32", ""));
    for tenant in ["shop", "search"] {
        let client = nn_client::Client::new(daemon.socket(), tenant.parse().unwrap());
        let answer = add(&client, "add", (&[1.0], &[2.0]), None).await.unwrap();
        assert_eq!(answer, [3.0]);
    }
    let instances = daemon.instances();
    let whose: Vec<&str> = instances
        .iter()
        .map(|of| of["tenant"].as_str().unwrap())
        .collect();
    assert!(
        whose.contains(&"shop") && whose.contains(&"search"),
        "{instances:?}"
    );
    assert!(
        instances.iter().all(|of| of["pid"].is_number()),
        "{instances:?}"
    );
}

#[test]
fn a_warm_up_that_the_engine_fails_is_the_end_of_the_load() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    let warm_up = "[[warm_up]]\ninputs.a = { shape = [3] }\ninputs.b = { shape = [2] }\n";
    let manifest = format!("{}\n{warm_up}", said(&engine, "add-f32", ""));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    let path = file.path().to_str().unwrap();
    let refused = nnctl(
        &daemon,
        &["load", "add", "--manifest", path, "--timeout", "20"],
    );
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for word in ["warm-up run 1 of 1", "remote-failed"] {
        assert!(
            refused.stderr.contains(word),
            "{word:?}: {}",
            refused.stderr
        );
    }
    assert!(daemon.models().is_empty());
}
