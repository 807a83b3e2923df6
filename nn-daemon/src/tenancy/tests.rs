//! Doors, models, bounds and meters, from what `[tenants]` says.

use nn_tensor::Code;

use super::*;

fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

fn peer(uid: u32) -> Peer {
    Peer::of_uid(uid)
}

fn uids(uids: &[u32]) -> Rules {
    Rules {
        uids: Some(uids.to_vec()),
        ..Rules::default()
    }
}

fn bounded(own: &[(Bound, u64)]) -> Rules {
    Rules {
        own: own.iter().copied().collect(),
        ..Rules::default()
    }
}

fn models(names: &[&str]) -> Rules {
    let names = names.iter().map(|name| name.parse().unwrap());
    Rules {
        models: Some(names.collect()),
        ..Rules::default()
    }
}

fn tenancy(listed: impl IntoIterator<Item = (&'static str, Rules)>) -> Tenancy {
    let listed = listed
        .into_iter()
        .map(|(name, rules)| (tenant(name), rules));
    Tenancy::new(&Limits::default(), listed.collect(), None)
}

#[test]
fn an_unlisted_uid_is_refused_and_an_empty_list_refuses_nobody() {
    let listed = tenancy([("a", uids(&[7]))]);
    assert!(listed.allow(peer(7), &tenant("a")).is_ok());
    for (uid, name) in [(8, "a"), (7, "b")] {
        let fault = listed.allow(peer(uid), &tenant(name)).unwrap_err();
        assert_eq!(fault.code, Code::Security);
    }
    assert!(tenancy([]).allow(peer(8), &tenant("a")).is_ok());
}

#[test]
fn a_table_that_only_sets_bounds_opens_and_closes_nothing() {
    let bounds = || bounded(&[(Bound::Computes, 1)]);
    let open = tenancy([("a", bounds())]);
    assert!(open.allow(peer(8), &tenant("a")).is_ok());
    assert!(open.allow(peer(8), &tenant("b")).is_ok());
    let closed = tenancy([("a", bounds()), ("b", uids(&[7]))]);
    assert!(closed.allow(peer(7), &tenant("a")).is_err());
    assert!(closed.allow(peer(7), &tenant("b")).is_ok());
    let nobody = tenancy([("a", uids(&[]))]);
    assert!(nobody.allow(peer(0), &tenant("a")).is_err());
}

#[test]
fn models_are_those_of_the_list_and_all_where_there_is_none() {
    let tenancy = tenancy([("a", models(&["foo"])), ("b", uids(&[7]))]);
    let name = |name: &str| name.parse::<ModelName>().unwrap();
    assert!(tenancy.may_use(&tenant("a"), &name("foo")));
    assert!(!tenancy.may_use(&tenant("a"), &name("bar")));
    assert!(tenancy.may_use(&tenant("b"), &name("bar")));
}

#[test]
fn a_model_is_there_for_who_may_act_for_one_that_may_use_it() {
    let name = |name: &str| name.parse::<ModelName>().unwrap();
    let closed = tenancy([
        (
            "a",
            Rules {
                uids: Some(vec![7]),
                ..models(&["foo"])
            },
        ),
        ("b", uids(&[8])),
    ]);
    assert!(closed.may_be_used_by(peer(7), &name("foo"), None));
    assert!(!closed.may_be_used_by(peer(7), &name("bar"), None));
    assert!(closed.may_be_used_by(peer(8), &name("bar"), None));
    let only_a = BTreeSet::from([tenant("a")]);
    assert!(!closed.may_be_used_by(peer(8), &name("foo"), Some(&only_a)));
    let open = tenancy([("a", models(&["foo"]))]);
    assert!(open.may_be_used_by(peer(9), &name("bar"), None));
    assert!(!open.may_be_used_by(peer(9), &name("bar"), Some(&only_a)));
}

#[test]
fn what_is_not_said_is_as_the_limits_say_and_a_bound_is_named_by_who_sets_it() {
    let tenancy = tenancy([("a", bounded(&[(Bound::Computes, 3)]))]);
    let limits = Limits::default();
    let bounds = tenancy.bounds(&tenant("a"));
    assert_eq!(bounds.computes, 3);
    assert_eq!(bounds.arena_bytes, limits.arena_bytes_per_tenant_max);
    assert_eq!(bounds.computes_per_second, None);
    assert_eq!(
        tenancy.key(&tenant("a"), Bound::Computes),
        "tenants.a.computes_max"
    );
    assert_eq!(
        tenancy.key(&tenant("b"), Bound::Computes),
        "limits.computes_per_tenant_max"
    );
    let known: Vec<&str> = limits.list().iter().map(|(name, ..)| *name).collect();
    assert!(
        Bound::ALL
            .iter()
            .all(|bound| known.contains(&bound.in_limits()))
    );
}

#[test]
fn computes_of_all_sessions_count_together_and_those_of_another_tenant_do_not() {
    let tenancy = tenancy([("a", bounded(&[(Bound::Computes, 2)]))]);
    let (one, two) = (tenancy.meter(&tenant("a")), tenancy.meter(&tenant("a")));
    let first = one.begin().unwrap();
    let _second = two.begin().unwrap();
    let fault = one.begin().unwrap_err();
    assert_eq!(fault.reason, Some(Reason::TenantComputesFull));
    assert!(fault.hint.contains("tenants.a.computes_max"), "{fault}");
    assert!(tenancy.meter(&tenant("b")).begin().is_ok());
    drop(first);
    assert!(two.begin().is_ok());
    assert_eq!(one.computes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_compute_beyond_the_rate_is_refused_and_holds_no_place() {
    let tenancy = tenancy([("a", bounded(&[(Bound::ComputesPerSecond, 2)]))]);
    let meter = tenancy.meter(&tenant("a"));
    let begun: Vec<_> = (0..2).map(|_| meter.begin().unwrap()).collect();
    let fault = meter.begin().unwrap_err();
    assert_eq!(fault.reason, Some(Reason::TenantRateFull));
    assert_eq!(meter.computes(), 2);
    drop(begun);
    tokio::time::advance(std::time::Duration::from_millis(500)).await;
    assert!(meter.begin().is_ok());
    assert!(meter.begin().is_err());
}

#[test]
fn tensors_are_held_until_the_last_part_of_them_is_dropped() {
    let tenancy = tenancy([("a", bounded(&[(Bound::Tensors, 3)]))]);
    let meter = tenancy.meter(&tenant("a"));
    let mut held = meter.hold(3).unwrap();
    let fault = meter.hold(1).unwrap_err();
    assert_eq!(fault.reason, Some(Reason::TenantTensorsFull));
    let one = held.split(1).unwrap();
    assert!(held.split(3).is_none());
    drop(held);
    assert_eq!(meter.tensors(), 1);
    drop(one);
    assert!(meter.hold(3).is_ok());
}

#[test]
fn new_bounds_hold_at_once_and_what_is_beyond_them_stays_until_it_goes() {
    let tenancy = tenancy([]);
    let meter = tenancy.meter(&tenant("a"));
    let begun: Vec<_> = (0..3).map(|_| meter.begin().unwrap()).collect();
    tenancy.replace(Listed::from([(
        tenant("a"),
        bounded(&[(Bound::Computes, 2)]),
    )]));
    assert!(meter.begin().is_err());
    drop(begun);
    let _two = (meter.begin().unwrap(), meter.begin().unwrap());
    assert!(meter.begin().is_err());
    assert_eq!(tenancy.weight(&tenant("a")), 1);
    let heavy = Rules {
        weight: 5,
        ..Rules::default()
    };
    tenancy.replace(Listed::from([(tenant("a"), heavy)]));
    assert_eq!(tenancy.weight(&tenant("a")), 5);
}

#[test]
fn a_tenant_without_a_use_leaves_no_meter_behind() {
    let tenancy = tenancy([]);
    let meter = tenancy.meter(&tenant("a"));
    let underway = meter.begin().unwrap();
    drop(meter);
    assert!(tenancy.known().contains(&tenant("a")));
    drop(underway);
    assert!(tenancy.0.meters().is_empty());
    assert!(tenancy.known().is_empty());
}
