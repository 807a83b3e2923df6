//! The layers of the jail: by the daemon's word, which has tried; else as far as this user can read. Pure.

use nn_proto::v1;
use nn_sandbox::{LayerState, Need};

use super::facts::Facts;
use super::finding::Finding;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    match facts.status() {
        Some(status) => {
            let layers = status.isolation.iter();
            let workers = layers.filter(|layer| layer.need != "always");
            let workers = workers.map(|layer| told(&layer.layer, layer));
            workers.chain(status.jails.iter().flat_map(own)).collect()
        }
        None => facts.layers.iter().map(read).collect(),
    }
}

/// The daemon itself, or the spawner.
fn own(jail: &v1::JailStatus) -> Vec<Finding> {
    let layers = jail.layers.iter();
    let name = |layer: &v1::ProtectionStatus| format!("{}.{}", jail.process, layer.layer);
    layers.map(|layer| told(&name(layer), layer)).collect()
}

fn told(name: &str, layer: &v1::ProtectionStatus) -> Finding {
    let id = id(name);
    match (layer.active, layer.need.as_str()) {
        (true, _) => Finding::ok(&id, layer.detail.clone()),
        (false, "require") => Finding::problem(
            &id,
            format!("DEGRADED: {}", layer.detail),
            "start the daemon where this is there, and without --allow-degraded; nnctl sandbox explain tells more",
        ),
        (false, _) => Finding::warning(
            &id,
            layer.detail.clone(),
            "the other layers hold; nnctl sandbox explain tells what this one adds",
        ),
    }
}

fn read(state: &LayerState) -> Finding {
    let id = id(state.layer.name());
    let without = state.layer.without();
    match (&state.missing, state.need) {
        (None, _) if state.layer.namespace().is_some() => {
            Finding::ok(&id, "nothing speaks against it; only the daemon tries")
        }
        (None, _) => match &state.lacks {
            Some(lacks) => Finding::ok(&id, format!("there, in part: {lacks}")),
            None => Finding::ok(&id, "there"),
        },
        (Some(why), Need::Require) => Finding::problem(
            &id,
            format!("{why}; without it, {without}"),
            "nn-daemon starts here with --allow-degraded only",
        ),
        (Some(why), Need::Prefer) => Finding::warning(
            &id,
            format!("{why}; without it, {without}"),
            "the other layers hold; nnctl sandbox explain tells what this one adds",
        ),
    }
}

fn id(layer: &str) -> String {
    format!("isolation.{layer}")
}
