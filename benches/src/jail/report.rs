//! The tables of `nn-bench jail`, as Markdown on stdout.

use std::fmt::Write as _;
use std::io::Write as _;

use super::spawn::Loads;
use super::steady::{Row, Side};
use super::{Bench, Measured};
use crate::report::{line, number};
use crate::stats::Samples;

pub(super) fn print(bench: &Bench<'_>, measured: &[Measured]) {
    let mut text = String::new();
    for placed in measured {
        steady(&mut text, placed);
    }
    loads(&mut text, measured);
    let layers = &bench.layers;
    let missing = if layers.missing.is_empty() {
        "none".to_owned()
    } else {
        layers.missing.join(", ")
    };
    let _infallible = writeln!(
        text,
        "Layers of the jail: {}; missing on this machine: {missing}. Framework: {}.{}",
        layers.active.join(", "),
        bench.setting.framework(),
        bench.setting.priority()
    );
    let _closed_pipe = std::io::stdout().write_all(text.as_bytes());
}

fn steady(text: &mut String, measured: &Measured) {
    let name = measured.placement.name();
    line(
        text,
        &format!("### One call with and without the jail, {name}\n"),
    );
    line(
        text,
        "| payload | calls | jailed, p50 µs | no jail, p50 µs | jailed ÷ no jail | no jail, again ÷ no jail | jailed, CPU µs | no jail, CPU µs |",
    );
    line(text, "|---|--:|--:|--:|--:|--:|--:|--:|");
    for row in &measured.rows {
        steady_row(text, row);
    }
    let _infallible = writeln!(
        text,
        "\nOthers used {} % of one processor while calls were timed; {} rounds, loads included, began although the machine was not \
         quiet.\n",
        measured.others_percent, measured.noisy_rounds
    );
}

fn steady_row(text: &mut String, row: &Row) {
    let (Some(jailed), Some(bare)) = (row.of(Side::Jailed), row.of(Side::Bare)) else {
        return;
    };
    let _infallible = writeln!(
        text,
        "| {} | {} | {} | {} | {} | {} | {} | {} |",
        row.payload.title,
        jailed.calls(),
        number(jailed.p50_us()),
        number(bare.p50_us()),
        ratio(Some(jailed), bare),
        ratio(row.of(Side::Again), bare),
        number(jailed.cpu_us()),
        number(bare.cpu_us()),
    );
}

/// The median of the rounds, and where the middle half of them lies.
fn ratio(own: Option<&Samples>, other: &Samples) -> String {
    let middle = own.and_then(|own| own.ratios(other));
    middle.map_or_else(
        || "–".to_owned(),
        |middle| {
            format!(
                "{:.3} ({:.3}–{:.3})",
                middle.median, middle.lower, middle.upper
            )
        },
    )
}

fn loads(text: &mut String, measured: &[Measured]) {
    line(
        text,
        "### From load to ready with and without the jail, in ms\n",
    );
    line(
        text,
        "| placement | worker | loads | jailed, p50 | p95 | no jail, p50 | p95 | the jail adds | jailed ÷ no jail |",
    );
    line(text, "|---|---|--:|--:|--:|--:|--:|--:|--:|");
    for placed in measured {
        for loads in &placed.loads {
            loads_row(text, placed.placement.name(), loads);
        }
    }
    line(text, "");
}

fn loads_row(text: &mut String, placement: &str, loads: &Loads) {
    let ms = |us: f64| number(us / 1000.0);
    let (jailed, bare) = (&loads.jailed, &loads.bare);
    let added = jailed.added_us(bare);
    let _infallible = writeln!(
        text,
        "| {placement} | {} | {} | {} | {} | {} | {} | {} | {} |",
        loads.program.name(),
        jailed.calls(),
        ms(jailed.p50_us()),
        ms(jailed.p95_us()),
        ms(bare.p50_us()),
        ms(bare.p95_us()),
        added.map_or_else(|| "–".to_owned(), ms),
        jailed
            .ratio(bare)
            .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
    );
}
