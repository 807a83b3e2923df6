//! `nn-bench conversions`: a picture of 640 × 480 as a decoder leaves it, on its way to a model that wants planes of numbers. The
//! guest cuts, resizes and normalises it itself, or the model's `model.toml` has its worker do that. The same guest, the same
//! daemon; calls take turns. The filter is the same; a byte may come out otherwise by rounding.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::child::Way;
use crate::models;
use crate::procs::{Placement, talk};
use crate::report::{line, number};
use crate::setting::Setting;
use crate::shim;
use crate::stats::Samples;

const ROUNDS: usize = 20;
const ROUNDS_QUICK: usize = 3;

/// Calls of one turn.
const CALLS: u32 = 20;

/// What the worker is told to do: what the guest does.
const DECLARED: &str = "picture = { filter = \"bicubic\", mean = 127, std = 128 }";

/// A model, and its input.
const MODELS: [(&str, &str); 2] = [("add-588k", "input"), (models::EFFICIENTNET, "images")];

/// One model both ways.
#[derive(Debug)]
struct Row {
    model: &'static str,
    by_guest: Samples,
    by_worker: Samples,
}

pub(crate) fn run(setting: &Setting) -> Result<ExitCode> {
    let dir = setting.begin()?;
    let mut noise = setting.noise();
    let rounds = if setting.quick { ROUNDS_QUICK } else { ROUNDS };
    let mut rows = Vec::new();
    for (model, input) in MODELS {
        let repository = repository(dir.path(), model, input)?;
        let daemon = setting.daemon(Placement::Free, &repository)?;
        let guest = setting.guests.join("bench-picture.wasm");
        let mut command = shim::command(Placement::Free, &daemon.socket(), None, &guest)?;
        let mut way = Way::start("bench-picture", &mut command)?;
        let mut row = Row {
            model,
            by_guest: Samples::default(),
            by_worker: Samples::default(),
        };
        for round in 0..rounds {
            talk(&format!(
                "conversions: {model}, round {} of {rounds}",
                round + 1
            ));
            noise.wait();
            let ways = [
                (format!("own {input}"), &mut row.by_guest),
                (format!("raw {input}/raw"), &mut row.by_worker),
            ];
            for (which, samples) in ways {
                // The guest looks at the name alone.
                way.ask(&format!("use {which} 1 0"))?;
                way.ask_numbers("run 2")?;
                samples
                    .turns
                    .push(way.ask_numbers(&format!("run {CALLS}"))?);
            }
        }
        rows.push(row);
    }
    print(&rows);
    Ok(ExitCode::SUCCESS)
}

/// The model twice: as it is, and with its pictures converted.
fn repository(dir: &Path, model: &str, input: &str) -> Result<PathBuf> {
    let from = dir.join(model).join(model).join("1/model.onnx");
    let made = dir.join(format!("{model}-both"));
    for name in ["own", "raw"] {
        let version = made.join(name).join("1");
        fs::create_dir_all(&version)?;
        fs::copy(&from, version.join("model.onnx"))
            .with_context(|| format!("{} is not there", from.display()))?;
    }
    let declared = format!("[inputs.{input}]\n{DECLARED}\n");
    fs::write(made.join("raw/model.toml"), declared)?;
    Ok(made)
}

fn print(rows: &[Row]) {
    let mut text = String::new();
    line(
        &mut text,
        "### A picture of 640 × 480, converted by the guest or by the worker\n",
    );
    line(
        &mut text,
        "| model | calls | by the guest, p50 ms | p99 ms | by the worker, p50 ms | p99 ms | guest ÷ worker |",
    );
    line(&mut text, "|---|--:|--:|--:|--:|--:|--:|");
    for row in rows {
        let (guest, worker) = (&row.by_guest, &row.by_worker);
        let times = [
            guest.p50_us(),
            guest.p99_us(),
            worker.p50_us(),
            worker.p99_us(),
        ];
        let cells = times.map(|us| number(us / 1000.0)).join(" | ");
        let ratio = guest.ratio(worker);
        let ratio = ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        line(
            &mut text,
            &format!("| {} | {} | {cells} | {ratio} |", row.model, worker.calls()),
        );
    }
    let _closed_pipe = std::io::stdout().write_all(text.as_bytes());
}
