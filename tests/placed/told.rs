//! What operators see of a model that is computed elsewhere.

use nn_tests::{nnctl, require_backends, until};

use super::{SOON, add, beside, engine, place, said};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_description_names_the_endpoints_and_what_they_do() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    place(
        &daemon,
        "add",
        &said(&engine, "add-f32", "version = \"1\"\n"),
    );
    add(&daemon.client(), "add", (&[1.0], &[2.0]), None)
        .await
        .unwrap();
    let text = tokio::task::block_in_place(|| nnctl(&daemon, &["describe", "add"]).ok().stdout);
    let address = engine.address();
    for word in [
        "placement",
        "kserve",
        &address,
        "closed",
        "no file of it is here",
        "add-f32, version 1",
    ] {
        assert!(text.contains(word), "{word:?}: {text}");
    }
    let told = daemon.json(&["describe", "add"]);
    let endpoint = &told["model"]["endpoints"][0];
    assert_eq!(endpoint["address"], address.as_str());
    assert_eq!(
        (&endpoint["state"], &endpoint["failures"]),
        (&"closed".into(), &0.into())
    );
    assert_eq!(told["card"]["remote_model"], "add-f32");
    let status = tokio::task::block_in_place(|| nnctl(&daemon, &["status"]).ok().stdout);
    assert!(
        status.contains(&address) && status.contains("nn-dialer"),
        "{status}"
    );
}

#[test]
fn placing_says_where_it_is_computed() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    let manifest = said(&engine, "add-f32", "").replace("placement = \"kserve\"\n", "");
    super::place_with_file(&daemon, "add", (&manifest, "add-f32"));
    let there = nnctl(&daemon, &["place", "add", "kserve"]).ok().stdout;
    assert_eq!(
        there,
        format!("add@1 is computed by {}\n", engine.address())
    );
    let here = nnctl(&daemon, &["place", "add@1", "local"]).ok().stdout;
    assert_eq!(here, "add@1 is computed here\n");
    let told = daemon.json(&["place", "add", "kserve"]);
    assert_eq!(told["model"]["placement"], "kserve");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_tell_of_the_relays_of_tenants_too() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine)
        .with_workers("isolation = \"tenant\"")
        .start();
    place(&daemon, "add", &said(&engine, "add-f32", ""));
    let client = daemon.client();
    let call = || add(&client, "add", (&[1.0], &[2.0]), None);
    call().await.unwrap();
    // The first tenant's relay was the version's own; the next one is not.
    let relay = daemon.workers();
    relay.iter().copied().for_each(nn_tests::kill);
    until("there is another", SOON, || {
        !daemon.workers().is_empty() && daemon.workers() != relay
    })
    .await;
    until("it answers", SOON, || {
        tokio::runtime::Handle::current().block_on(call()).is_ok()
    })
    .await;
    let address = engine.address();
    let asked = format!(
        "nn_model_endpoint_asked{{model=\"add\",version=\"1\",endpoint=\"{address}\"}} 1\n"
    );
    until("the endpoint is asked", SOON, || {
        nnctl(&daemon, &["metrics"]).ok().stdout.contains(&asked)
    })
    .await;
}
