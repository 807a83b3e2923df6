//! Keys that mean nothing, told with the key that was probably meant.

use nn_tensor::Fault;
use toml::{Table, Value};

/// Every key of the file.
const KEYS: [&str; 15] = [
    "backend",
    "compute_ms_max",
    "description",
    "device",
    "instances",
    "keep_alive_ms",
    "licence",
    "load_ms_max",
    "outputs",
    "queue_max",
    "sha256",
    "source",
    "tenants",
    "threads",
    "warm_up",
];

/// Every key of the bounds of instances.
const INSTANCES_KEYS: [&str; 2] = ["max", "min"];

/// Every key of one output.
const OUTPUT_KEYS: [&str; 2] = ["labels", "labels_file"];

/// Every key of one run, and of one input of it.
const RUN_KEYS: [&str; 1] = ["inputs"];
const INPUT_KEYS: [&str; 2] = ["fill", "shape"];

/// How alike a key must be to be the one that was meant: 1 is the same.
const ALIKE: f64 = 0.7;

pub(super) fn check(table: &Table) -> Result<(), Fault> {
    among(table, &KEYS, "")?;
    if let Some(Value::Table(instances)) = table.get("instances") {
        among(instances, &INSTANCES_KEYS, "instances.")?;
    }
    if let Some(Value::Array(runs)) = table.get("warm_up") {
        runs.iter().filter_map(Value::as_table).try_for_each(run)?;
    }
    let Some(Value::Table(outputs)) = table.get("outputs") else {
        return Ok(());
    };
    outputs.iter().try_for_each(|(name, output)| match output {
        Value::Table(output) => among(output, &OUTPUT_KEYS, &format!("outputs.{name}.")),
        // The parser says what is wrong with it.
        _ => Ok(()),
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
    let fault = Fault::invalid_argument(format!("model.toml has an unknown key {place}{key}"));
    Err(match nearest(known, &key) {
        Some(nearest) => fault.hint(format!("did you mean {place}{nearest}?")),
        None => fault.expected(known.join(", ")),
    })
}

/// The one that was probably meant.
pub(super) fn nearest<'a>(known: &[&'a str], key: &str) -> Option<&'a str> {
    let likeness = |known: &str| strsim::jaro_winkler(known, key);
    known
        .iter()
        .map(|known| (likeness(known), *known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, nearest)| nearest)
}
