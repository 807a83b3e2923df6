//! What is planned where something is missing, and in which order.

use super::*;

fn profile() -> &'static Profile {
    Profile::named("worker-ort").unwrap()
}

fn ask() -> Ask {
    Ask {
        binds: vec!["/usr/lib/x".into()],
        libraries: Vec::new(),
        uid: Some(65534),
        data_bytes_max: 1 << 30,
        threads: 3,
        filter: profile().filter.to_vec(),
    }
}

fn place(steps: &[Step], is: impl Fn(&Step) -> bool) -> usize {
    steps.iter().position(is).unwrap()
}

#[test]
fn everything_there_is_planned_in_the_order_that_works() {
    let Steps { enter, seal } = steps(profile(), &Layer::ALL, &ask());
    let order = [
        place(&enter, |step| matches!(step, Step::Root { .. })),
        place(&enter, |step| matches!(step, Step::Landlock(_))),
        place(&enter, |step| matches!(step, Step::Limit(Limit::Data, _))),
        place(&enter, |step| *step == Step::Capabilities),
        place(&enter, |step| *step == Step::NoNewPrivs),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert!(matches!(seal.last(), Some(Step::Seccomp(_))));
}

#[test]
fn the_bound_of_threads_comes_with_the_seal() {
    let Steps { enter, seal } = steps(profile(), &Layer::ALL, &ask());
    assert!(seal.contains(&Step::Limit(Limit::Processes, 4)));
    assert!(
        !enter
            .iter()
            .any(|step| matches!(step, Step::Limit(Limit::Processes, _)))
    );
}

#[test]
fn the_memory_budget_is_the_limit_of_data() {
    let Steps { enter, .. } = steps(profile(), &Layer::ALL, &ask());
    assert!(enter.contains(&Step::Limit(Limit::Data, 1 << 30)));
}

#[test]
fn without_a_user_namespace_no_new_privs_comes_before_landlock() {
    let Steps { enter, .. } = steps(profile(), &[Layer::Landlock, Layer::NoNewPrivs], &ask());
    let nnp = place(&enter, |step| *step == Step::NoNewPrivs);
    assert!(nnp < place(&enter, |step| matches!(step, Step::Landlock(_))));
    assert_eq!(
        enter
            .iter()
            .filter(|step| **step == Step::NoNewPrivs)
            .count(),
        1
    );
}

#[test]
fn a_required_layer_that_is_missing_is_unmet() {
    let mut facts = Facts::default();
    facts.mark(Layer::Seccomp, "the kernel was built without it");
    let plan = Plan::new(profile(), &facts);
    let unmet: Vec<_> = plan.unmet().iter().map(|state| state.layer).collect();
    assert_eq!(unmet, [Layer::Seccomp]);
    assert!(!plan.active().contains(&Layer::Seccomp));
}

#[test]
fn a_preferred_layer_that_is_missing_is_left_out_and_no_more() {
    let mut facts = Facts::default();
    facts.mark(Layer::Landlock, "not enabled");
    let plan = Plan::new(profile(), &facts);
    assert!(plan.unmet().is_empty());
    assert!(!plan.active().contains(&Layer::Landlock));
}

#[test]
fn the_namespaces_are_those_of_the_active_layers() {
    let mut facts = Facts::default();
    for layer in Layer::ALL {
        if layer != Layer::NetNs {
            facts.mark(layer, "off");
        }
    }
    let plan = Plan::new(profile(), &facts);
    assert_eq!(Some(plan.namespaces()), Layer::NetNs.namespace());
}

#[test]
fn without_a_user_namespace_the_root_is_built_before_the_uid_changes() {
    let Steps { enter, .. } = steps(profile(), &[Layer::MountNs], &ask());
    let root = place(&enter, |step| matches!(step, Step::Root { uid: None, .. }));
    assert!(root < place(&enter, |step| *step == Step::Become(65534)));
}
