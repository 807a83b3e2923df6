//! A manifest as text again, for the state directory and for the wire: all in one, no file beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::conversions::{self, WrittenInput, WrittenOutput};
use super::{Instances, Manifest, Placement, Precision, WarmUp, placement};

/// As it is written; what is not said is left out.
#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    licence: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenants: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    backend: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    device: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compute_ms_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_ms_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<Instances>,
    #[serde(skip_serializing_if = "Option::is_none")]
    placement: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kserve: Option<placement::Written>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warm_up: &'a [WarmUp],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    inputs: BTreeMap<&'a str, WrittenInput>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    outputs: BTreeMap<&'a str, WrittenOutput>,
}

pub(super) fn text(manifest: &Manifest) -> String {
    let millis =
        |wait: Option<Duration>| wait.and_then(|wait| u64::try_from(wait.as_millis()).ok());
    let tenants = manifest.tenants.as_ref();
    let (inputs, outputs) = conversions::written(manifest);
    let text = Text {
        description: &manifest.description,
        licence: &manifest.licence,
        source: &manifest.source,
        sha256: manifest.sha256.map(String::from),
        tenants: tenants.map(|tenants| tenants.iter().map(|tenant| tenant.as_str()).collect()),
        backend: &manifest.backend,
        device: &manifest.device,
        precision: (manifest.precision != Precision::default())
            .then_some(manifest.precision.name()),
        threads: manifest.threads,
        queue_max: manifest.queue_max,
        compute_ms_max: millis(manifest.compute_max),
        load_ms_max: millis(manifest.load_max),
        keep_alive_ms: millis(manifest.keep_alive),
        instances: manifest.instances,
        placement: (manifest.placement != Placement::default())
            .then_some(manifest.placement.name()),
        kserve: manifest.kserve.as_ref().map(Into::into),
        warm_up: &manifest.warm_up,
        inputs,
        outputs,
    };
    // Texts and numbers under plain keys: there is nothing in it that TOML could not say.
    toml::to_string(&text).unwrap_or_default()
}
