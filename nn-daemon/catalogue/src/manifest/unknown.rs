//! Keys that mean nothing, told with the key that was probably meant.

use nn_tensor::Fault;
use toml::{Table, Value};

/// Every key of the file.
const KEYS: [&str; 12] = [
    "backend",
    "compute_ms_max",
    "description",
    "device",
    "keep_alive_ms",
    "licence",
    "load_ms_max",
    "outputs",
    "queue_max",
    "sha256",
    "source",
    "tenants",
];

/// Every key of one output.
const OUTPUT_KEYS: [&str; 2] = ["labels", "labels_file"];

/// How alike a key must be to be the one that was meant: 1 is the same.
const ALIKE: f64 = 0.7;

pub(super) fn check(table: &Table) -> Result<(), Fault> {
    among(table, &KEYS, "")?;
    let Some(Value::Table(outputs)) = table.get("outputs") else {
        return Ok(());
    };
    outputs.iter().try_for_each(|(name, output)| match output {
        Value::Table(output) => among(output, &OUTPUT_KEYS, &format!("outputs.{name}.")),
        // The parser says what is wrong with it.
        _ => Ok(()),
    })
}

fn among(table: &Table, known: &[&str], place: &str) -> Result<(), Fault> {
    let unknown = table.keys().find(|key| !known.contains(&key.as_str()));
    let Some(key) = unknown else { return Ok(()) };
    let key: String = key.chars().take(64).collect();
    let fault = Fault::invalid_argument(format!("model.toml has an unknown key {place}{key}"));
    let likeness = |known: &&str| strsim::jaro_winkler(known, &key);
    let nearest = known
        .iter()
        .copied()
        .map(|known| (likeness(&known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    Err(match nearest {
        Some((_, nearest)) => fault.hint(format!("did you mean {place}{nearest}?")),
        None => fault.expected(known.join(", ")),
    })
}
