//! Models as a page for those who write guests: what each takes, what it gives, and the call.

use super::spec::SpecView;
use super::{Description, Latency, ModelView};
use crate::output::{bytes, printable};

/// The page.
pub(super) fn page(models: &[Description]) -> String {
    let mut page = String::from("# Models\n");
    if models.is_empty() {
        page.push_str("\nThere are none.\n");
    }
    for model in models {
        page.push_str(&section(model));
    }
    page
}

fn section(description: &Description) -> String {
    let Description {
        model,
        card,
        inputs,
        outputs,
        ..
    } = description;
    let mut text = format!("\n## {}\n\n", plain(&model.name));
    if !card.description.is_empty() {
        text.push_str(&format!("{}\n\n", plain(&card.description)));
    }
    let latency = model.latency.as_ref().map(Latency::text);
    let facts = [
        ("Version", model.version.to_string()),
        ("Aliases", model.aliases.join(", ")),
        ("Licence", card.licence.clone()),
        ("Origin", card.source.clone()),
        ("Size", bytes(model.bytes)),
        ("Memory", model.memory_text()),
        ("Latency", latency.unwrap_or_default()),
        ("SHA-256", model.sha256.clone()),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("- {name}: {}\n", plain(value)));
    }
    text.push_str("\n| | name | dtype | shape | bytes |\n|---|---|---|---|---|\n");
    let roles = [("input", inputs), ("output", outputs)];
    for (role, specs) in roles {
        for spec in specs {
            let size = spec
                .bytes()
                .map_or_else(String::new, |bytes| bytes.to_string());
            let (name, shape) = (plain(&spec.name), spec.shape_text());
            text.push_str(&format!(
                "| {role} | {name} | {} | {shape} | {size} |\n",
                spec.dtype
            ));
        }
    }
    for labels in &card.labels {
        let listed: Vec<String> = labels.labels.iter().map(|label| plain(label)).collect();
        let output = plain(&labels.output);
        text.push_str(&format!("\nLabels of {output}: {}\n", listed.join(", ")));
    }
    text.push_str("\n```rust\n");
    for line in call(model, inputs, outputs) {
        text.push_str(&format!("{}\n", printable(&line)));
    }
    text.push_str("```\n");
    text
}

/// The call from a guest, by wasi-nn's WIT in Rust: nothing that has to be guessed.
pub(super) fn call(model: &ModelView, inputs: &[SpecView], outputs: &[SpecView]) -> Vec<String> {
    let mut lines = vec![format!(
        "let context = load_by_name({:?})?.init_execution_context()?;",
        model.name
    )];
    for (at, input) in inputs.iter().enumerate() {
        let tensor = input.dtype.to_uppercase();
        let kind = kind(&tensor);
        let dims = input.shape.as_ref().map_or_else(
            || "&shape".to_owned(),
            |dims| {
                let dim =
                    |dim: &Option<u32>| dim.map_or_else(|| "n".to_owned(), |dim| dim.to_string());
                let dims: Vec<String> = dims.iter().map(dim).collect();
                format!("&[{}]", dims.join(", "))
            },
        );
        let size = input.bytes().map_or_else(
            || "little-endian, the last dimension fastest".to_owned(),
            |bytes| format!("{bytes} bytes, little-endian, the last dimension fastest"),
        );
        lines.push(format!("// bytes{at}: {size}"));
        lines.push(format!(
            "let input{at} = ({:?}.to_owned(), Tensor::new({dims}, TensorType::{kind}, &bytes{at}));",
            input.name
        ));
    }
    let all: Vec<String> = (0..inputs.len()).map(|at| format!("input{at}")).collect();
    lines.push(format!(
        "let outputs = context.compute(vec![{}])?;",
        all.join(", ")
    ));
    for (at, output) in outputs.iter().enumerate() {
        lines.push(format!(
            "let {at_name} = outputs[{at}].1.data(); // {:?}: {} {}",
            output.name,
            output.dtype,
            output.shape_text(),
            at_name = format_args!("output{at}"),
        ));
    }
    lines
}

/// wasi-nn's name of a dtype, as bindings for Rust spell it.
fn kind(upper: &str) -> String {
    let mut letters = upper.chars();
    let first: String = letters.next().into_iter().collect();
    first + &letters.as_str().to_lowercase()
}

/// Without what would be markup, or a line of its own.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in printable(&text.replace('\n', " ")).chars() {
        if matches!(
            c,
            '|' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '\\' | '#'
        ) {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}
