//! Each bound at its edge, over several sessions: refused at once beyond it, told by its name, free again afterwards, and no
//! other tenant's concern.

use nn_client::{Client, Format};
use nn_proto::v1::{self, infer_request};
use nn_tensor::{Code, Fault, Reason};
use nn_tests::{Daemon, fake_model, require_backends};

use super::{Raw, Sleeper, daemon, fault, limit, until};

/// A tenant with a bound, and one without.
fn bounded(key: &str) -> Daemon {
    daemon(&[("shop", key), ("other", "")])
}

/// That this says which bound it was.
fn names(fault: &Fault, reason: Reason, key: &str) {
    assert_eq!(fault.reason, Some(reason), "{fault}");
    assert!(fault.hint.contains(key), "{fault}");
}

#[test]
fn sessions() {
    require_backends!();
    let daemon = bounded("sessions_max = 2");
    let held = [1, 2].map(|_| Raw::of(&daemon, "shop").unwrap());
    let refused = fault(&Raw::of(&daemon, "shop").err().unwrap());
    names(&refused, Reason::SessionsFull, "tenants.shop.sessions_max");
    assert_eq!(limit(&daemon, "shop", "sessions_max"), (Some(2), Some(2)));
    assert!(Raw::of(&daemon, "other").is_ok());
    drop(held);
    until("there is room again", || Raw::of(&daemon, "shop").is_ok());
}

#[test]
fn computes_in_flight() {
    require_backends!();
    let daemon = bounded("computes_max = 2");
    let (mut one, mut two) = (Sleeper::of(&daemon, "shop"), Sleeper::of(&daemon, "shop"));
    let mut other = Sleeper::of(&daemon, "other");
    one.begin(1, 2000);
    two.begin(1, 2000);
    until("both are in flight", || {
        limit(&daemon, "shop", "computes_max") == (Some(2), Some(2))
    });
    two.begin(2, 2000);
    let refused = two.answer().unwrap_err();
    names(
        &refused,
        Reason::TenantComputesFull,
        "tenants.shop.computes_max",
    );
    assert_eq!(refused.code, Code::Busy);
    assert!(other.sleep(1, 0).is_ok());
    assert!(one.answer().is_ok() && two.answer().is_ok());
    until("nothing is in flight", || {
        limit(&daemon, "shop", "computes_max").1 == Some(0)
    });
    assert!(two.sleep(3, 0).is_ok());
}

#[test]
fn computes_in_a_second() {
    require_backends!();
    let daemon = bounded("computes_per_second_max = 1");
    let mut shop = Sleeper::of(&daemon, "shop");
    (0..20).for_each(|id| shop.begin(id, 0));
    let answers: Vec<_> = (0..20).map(|_| shop.answer()).collect();
    let refused: Vec<&Fault> = answers.iter().filter_map(|of| of.as_ref().err()).collect();
    assert!(!refused.is_empty() && refused.len() < 20, "{answers:?}");
    for refused in refused {
        names(
            refused,
            Reason::TenantRateFull,
            "tenants.shop.computes_per_second_max",
        );
    }
    until("a second has passed", || shop.sleep(30, 0).is_ok());
}

#[test]
fn the_time_of_a_compute() {
    require_backends!();
    let daemon = bounded("compute_ms_max = 100");
    let mut shop = Sleeper::of(&daemon, "shop");
    assert_eq!(shop.sleep(1, 20_000).unwrap_err().code, Code::Timeout);
    assert!(shop.sleep(2, 0).is_ok());
    assert!(Sleeper::of(&daemon, "other").sleep(1, 150).is_ok());
}

#[test]
fn memory_of_arenas() {
    require_backends!();
    let daemon = bounded("arena_bytes_max = 8388608");
    let one = Raw::of(&daemon, "shop").unwrap();
    let arena = one.graph("sleep").resolved.arena_id;
    let two = Raw::of(&daemon, "shop").unwrap();
    let second = two.graph("sleep");
    let refused = fault(&one.grow(arena, 1).unwrap_err());
    assert_eq!(refused.reason, Some(Reason::ArenaFull));
    let full = (Some(8 << 20), Some(8 << 20));
    assert_eq!(limit(&daemon, "shop", "arena_bytes_max"), full);
    assert!(Raw::of(&daemon, "other").unwrap().resolve("sleep").is_ok());
    drop((two, second));
    until("there is room again", || one.grow(arena, 1).is_ok());
}

#[test]
fn tensors() {
    require_backends!();
    let daemon = bounded("tensors_max = 3");
    let mut shop = Sleeper::of(&daemon, "shop");
    // Each has one input, for as long as it takes, and one output, for as long as nobody gives it back.
    let first = shop.sleep(1, 0).unwrap();
    assert!(shop.sleep(2, 0).is_ok());
    until("the outputs alone are held", || {
        limit(&daemon, "shop", "tensors_max") == (Some(3), Some(2))
    });
    let refused = shop.sleep(3, 0).unwrap_err();
    names(
        &refused,
        Reason::TenantTensorsFull,
        "tenants.shop.tensors_max",
    );
    let slots = vec![first.outputs[0].slot.unwrap()];
    let release = v1::Release { slots };
    shop.stream.send(0, infer_request::Body::Release(release));
    assert!(shop.sleep(4, 0).is_ok());
    drop(shop);
    until("with the session all is free", || {
        limit(&daemon, "shop", "tensors_max").1 == Some(0)
    });
}

#[test]
fn models_that_guests_load() {
    require_backends!();
    let daemon = bounded("guest_models_max = 1");
    let runtime = super::raw::runtime();
    let client = |tenant: &str| Client::new(daemon.socket(), tenant.parse().unwrap());
    let load = |client: &Client, name: &str| {
        let bytes = std::fs::read(fake_model(name)).unwrap();
        runtime.block_on(client.load(Format::Onnx, std::slice::from_ref(&bytes)))
    };
    let (one, two) = (client("shop"), client("shop"));
    let held = load(&one, "echo").unwrap();
    let refused = load(&two, "add").err().unwrap();
    names(
        &refused,
        Reason::TenantModelsFull,
        "tenants.shop.guest_models_max",
    );
    assert_eq!(
        limit(&daemon, "shop", "guest_models_max"),
        (Some(1), Some(1))
    );
    assert!(load(&client("other"), "add").is_ok());
    drop(held);
    until("there is room again", || load(&two, "add").is_ok());
}

#[test]
fn bytes_of_models_that_guests_load() {
    require_backends!();
    let bytes = std::fs::read(fake_model("echo")).unwrap();
    let key = format!("guest_model_bytes_max = {}", bytes.len());
    let daemon = bounded(&key);
    let runtime = super::raw::runtime();
    let client = Client::new(daemon.socket(), "shop".parse().unwrap());
    let load = |name: &str| {
        let bytes = std::fs::read(fake_model(name)).unwrap();
        runtime.block_on(client.load(Format::Onnx, std::slice::from_ref(&bytes)))
    };
    let held = load("echo").unwrap();
    let refused = load("add").err().unwrap();
    names(
        &refused,
        Reason::TenantModelBytesFull,
        "tenants.shop.guest_model_bytes_max",
    );
    drop(held);
    until("there is room again", || load("echo").is_ok());
}

#[test]
fn what_a_tenant_does_not_say_is_as_the_limits_say_and_what_only_hosts_know_is_not_told() {
    require_backends!();
    let daemon = bounded("computes_max = 7");
    let told = daemon.json(&["status", "--tenant"]);
    let tenants = told["tenants"].as_array().unwrap();
    let names: Vec<&str> = tenants
        .iter()
        .filter_map(|of| of["tenant"].as_str())
        .collect();
    assert_eq!(names, ["other", "shop"]);
    let of = |tenant: usize, name: &str, by: &str| {
        let limits = tenants[tenant]["limits"].as_array().unwrap();
        let limit = limits
            .iter()
            .find(|limit| limit["name"] == name && limit["enforced_by"] == by);
        limit.unwrap().clone()
    };
    assert_eq!(of(1, "computes_max", "daemon")["value"], 7);
    assert_eq!(of(1, "computes_max", "daemon")["own"], true);
    assert_eq!(of(0, "computes_max", "daemon")["value"], 4096);
    assert!(of(0, "memory_max", "host")["value"].is_null());
    let nobody = daemon.json(&["status", "--tenant", "nobody"]);
    assert_eq!(nobody["tenants"][0]["listed"], false);
}
