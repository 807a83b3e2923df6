//! Keys that mean nothing, told with the key that was probably meant.

use nn_tensor::{Fault, Reason, nearest};
use toml::{Table, Value};

/// Every key of the file.
const KEYS: [&str; 19] = [
    "backend",
    "compute_ms_max",
    "description",
    "device",
    "inputs",
    "instances",
    "keep_alive_ms",
    "kserve",
    "licence",
    "load_ms_max",
    "outputs",
    "placement",
    "precision",
    "queue_max",
    "sha256",
    "source",
    "tenants",
    "threads",
    "warm_up",
];

/// Every key of the bounds of instances.
const INSTANCES_KEYS: [&str; 2] = ["max", "min"];

/// Every key of `[kserve]`, and of the tables in it.
const KSERVE_KEYS: [&str; 10] = [
    "auth",
    "breaker",
    "connect_ms",
    "endpoints",
    "fallback",
    "in_flight_max",
    "message_bytes_max",
    "model",
    "tls",
    "version",
];
const KSERVE_TABLES: [(&str, &[&str]); 3] = [
    ("auth", &["file", "header", "plaintext"]),
    ("breaker", &["failures", "open_ms"]),
    ("tls", &["ca", "certificate", "key", "name"]),
];

/// Every key of one output.
const OUTPUT_KEYS: [&str; 5] = ["dtype", "labels", "labels_file", "softmax", "top_k"];

/// Every key of one input, and of the picture that clients send for it.
const DECLARED_KEYS: [&str; 2] = ["dtype", "picture"];
const PICTURE_KEYS: [&str; 9] = [
    "channels", "filter", "fit", "layout", "mean", "order", "scale", "size", "std",
];

/// Every key of one run, and of one input of it.
const RUN_KEYS: [&str; 1] = ["inputs"];
const INPUT_KEYS: [&str; 2] = ["fill", "shape"];

pub(super) fn check(table: &Table) -> Result<(), Fault> {
    among(table, &KEYS, "")?;
    if let Some(Value::Table(instances)) = table.get("instances") {
        among(instances, &INSTANCES_KEYS, "instances.")?;
    }
    if let Some(Value::Table(kserve)) = table.get("kserve") {
        among(kserve, &KSERVE_KEYS, "kserve.")?;
        for (name, keys) in KSERVE_TABLES {
            if let Some(Value::Table(table)) = kserve.get(name) {
                among(table, keys, &format!("kserve.{name}."))?;
            }
        }
    }
    if let Some(Value::Array(runs)) = table.get("warm_up") {
        runs.iter().filter_map(Value::as_table).try_for_each(run)?;
    }
    each(table, "inputs", |input, place| {
        among(input, &DECLARED_KEYS, place)?;
        let picture = input.get("picture").and_then(Value::as_table);
        let picture_place = format!("{place}picture.");
        picture.map_or(Ok(()), |keys| among(keys, &PICTURE_KEYS, &picture_place))
    })?;
    each(table, "outputs", |output, place| {
        among(output, &OUTPUT_KEYS, place)
    })
}

/// Every table in the one of that name. What is none the parser tells.
fn each(
    table: &Table,
    name: &str,
    check: impl Fn(&Table, &str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let tables = table.get(name).and_then(Value::as_table);
    tables.into_iter().flatten().try_for_each(|(key, value)| {
        let place = format!("{name}.{key}.");
        value.as_table().map_or(Ok(()), |keys| check(keys, &place))
    })
}

fn run(run: &Table) -> Result<(), Fault> {
    among(run, &RUN_KEYS, "warm_up.")?;
    let inputs = run.get("inputs").and_then(Value::as_table);
    inputs.into_iter().flatten().try_for_each(|(name, input)| {
        let input = input.as_table();
        input.map_or(Ok(()), |input| {
            among(input, &INPUT_KEYS, &format!("warm_up.inputs.{name}."))
        })
    })
}

fn among(table: &Table, known: &[&str], place: &str) -> Result<(), Fault> {
    let unknown = table.keys().find(|key| !known.contains(&key.as_str()));
    let Some(key) = unknown else { return Ok(()) };
    let key: String = key.chars().take(64).collect();
    let fault = Fault::of(Reason::ManifestWrong)
        .message(format!("model.toml has an unknown key {place}{key}"));
    Err(match nearest(known.iter().copied(), &key) {
        Some(meant) => fault.hint(format!("did you mean {place}{meant}?")),
        None => fault.expected(known.join(", ")),
    })
}
