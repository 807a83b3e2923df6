//! What a tenant may use is changed while it uses it: what was taken ends, what stays is not touched.

use std::fs;

use nn_client::Client;
use nn_tensor::Code;
use nn_tests::{fake_model, require_backends};

use super::{Sleeper, builder, daemon, events, is_not_found, limit, until};

#[test]
fn a_graph_of_a_model_that_is_taken_from_its_tenant_ends_and_all_else_goes_on() {
    require_backends!();
    let daemon = daemon(&[("shop", "models = [\"sleep\", \"echo\"]"), ("other", "")]);
    let mut shop = Sleeper::of(&daemon, "shop");
    assert!(shop.sleep(0, 0).is_ok(), "there is memory for outputs");
    let kept = shop.raw.resolve("echo").unwrap();
    let mut other = Sleeper::of(&daemon, "other");
    other.begin(1, 3000);
    shop.begin(1, 3000);
    until("both are in flight", || {
        limit(&daemon, "shop", "computes_max").1 == Some(1)
            && limit(&daemon, "other", "computes_max").1 == Some(1)
    });
    let before = limit(&daemon, "shop", "arena_bytes_max").1;

    daemon.reconfigure("[\"sleep\", \"echo\"]", "[\"echo\"]");
    until("it is reloaded", || {
        daemon.log().contains("configuration reloaded")
    });
    let late = shop.compute(0);
    shop.send(2, late);
    // In whatever order: what was in flight ends as it would have, what comes after it is refused.
    let answers = [shop.answer(), shop.answer()];
    assert_eq!(
        answers.iter().filter(|answer| is_not_found(answer)).count(),
        1
    );
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(other.answer().is_ok());
    assert!(other.sleep(2, 0).is_ok(), "it is still for others");

    let denied = events(&daemon, "denied");
    let last = denied.last().unwrap();
    assert_eq!(
        (&last["tenant"], &last["model"]),
        (&"shop".into(), &"sleep@1".into())
    );
    assert!(shop.raw.resolve("sleep").is_err());
    let again = shop.raw.resolve("echo").unwrap();
    assert_eq!(again.graph_id, kept.graph_id, "what stays allowed stays");
    until("its memory is given back", || {
        limit(&daemon, "shop", "arena_bytes_max").1 < before
    });

    daemon.reconfigure("[\"echo\"]", "[\"sleep\", \"echo\"]");
    until("it may again", || shop.raw.resolve("sleep").is_ok());
}

#[test]
fn a_client_forgets_what_a_name_meant_that_is_no_longer_for_it() {
    require_backends!();
    let daemon = daemon(&[("shop", "models = [\"sleep\"]")]);
    let runtime = super::raw::runtime();
    let client = Client::new(daemon.socket(), "shop".parse().unwrap());
    let held = runtime.block_on(client.resolve("sleep")).unwrap();
    daemon.reconfigure("models = [\"sleep\"]", "models = []");
    until("the name is forgotten", || {
        runtime
            .block_on(client.resolve("sleep"))
            .is_err_and(|fault| fault.code == Code::NotFound)
    });
    until("what was held has ended", || {
        let room = runtime.block_on(held.reserve(8));
        room.is_err_and(|fault| fault.code == Code::NotFound)
    });
}

#[test]
fn the_tenants_that_a_repository_names_count_anew_with_each_reload() {
    require_backends!();
    let repository = tempfile::tempdir().unwrap();
    let model = repository.path().join("sleep");
    fs::create_dir_all(model.join("1")).unwrap();
    fs::copy(fake_model("sleep"), model.join("1/model.onnx")).unwrap();
    let say = |tenants: &str| fs::write(model.join("model.toml"), tenants).unwrap();
    say("tenants = [\"shop\", \"other\"]\n");
    let daemon = builder(&[("shop", ""), ("other", "")])
        .with_repository(repository.path())
        .start();
    let (mut shop, mut other) = (Sleeper::of(&daemon, "shop"), Sleeper::of(&daemon, "other"));
    assert!(shop.sleep(1, 0).is_ok() && other.sleep(1, 0).is_ok());
    say("tenants = [\"other\"]\n");
    daemon.reload();
    let mut id = 1;
    until("it is no longer for the shop", || {
        id += 1;
        is_not_found(&shop.sleep(id, 0))
    });
    assert!(other.sleep(2, 0).is_ok());
    assert!(shop.raw.resolve("sleep").is_err());
}

#[test]
fn new_bounds_hold_for_sessions_that_are_open() {
    require_backends!();
    let daemon = daemon(&[("shop", "computes_max = 64")]);
    let mut shop = Sleeper::of(&daemon, "shop");
    assert!(shop.sleep(1, 0).is_ok());
    daemon.reconfigure("computes_max = 64", "computes_max = 1");
    until("the bound is the new one", || {
        limit(&daemon, "shop", "computes_max").0 == Some(1)
    });
    shop.begin(2, 500);
    shop.begin(3, 500);
    assert!(shop.answer().is_err_and(|fault| fault.code == Code::Busy));
    assert!(shop.answer().is_ok());
}
