//! The tables, as Markdown on stdout.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::kind::Kind;
use crate::memory::Used;
use crate::path::{Loads, Measured, Options, Row};
use crate::stats::{Samples, micros};

pub(crate) fn print(options: &Options, measured: &[Measured], memory: &[Used]) {
    let mut text = String::new();
    for placement in measured {
        placed(&mut text, placement);
    }
    added(&mut text, measured);
    loads(&mut text, measured);
    used(&mut text, memory);
    let _infallible = writeln!(
        text,
        "Framework: {}, the same file for all ways.{}",
        options.setting.framework(),
        options.setting.priority()
    );
    let _closed_pipe = std::io::stdout().write_all(text.as_bytes());
}

pub(crate) fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn placed(text: &mut String, measured: &Measured) {
    let name = measured.placement.name();
    line(text, &format!("### One call, {name}\n"));
    line(
        text,
        "| payload | way | calls | p50 µs | p99 µs | × floor | × plain, bound | × in process | CPU µs |",
    );
    line(text, "|---|---|--:|--:|--:|--:|--:|--:|--:|");
    for row in &measured.rows {
        for (kind, samples) in &row.ways {
            way(text, row, *kind, samples);
        }
    }
    let clocks: Vec<String> = measured
        .clock
        .iter()
        .map(|(kind, ns)| format!("{} {ns} ns", kind.name()))
        .collect();
    let _infallible = writeln!(
        text,
        "\nReading the clock, which is part of every call: {}. Others used {} % of one processor meanwhile; {} rounds began \
         although the machine was not quiet.\n",
        clocks.join(", "),
        measured.others_percent,
        measured.noisy_rounds
    );
}

fn of(row: &Row, kind: Kind) -> Option<&Samples> {
    row.ways
        .iter()
        .find(|(other, _)| *other == kind)
        .map(|(_, samples)| samples)
}

fn way(text: &mut String, row: &Row, kind: Kind, samples: &Samples) {
    let ratio = |other: Option<Kind>| {
        let other = other.and_then(|other| of(row, other));
        other
            .and_then(|other| samples.ratio(other))
            .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
    };
    let _infallible = writeln!(
        text,
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        row.payload.title,
        kind.name(),
        samples.calls(),
        number(samples.p50_us()),
        number(samples.p99_us()),
        ratio(kind.is_isolated().then_some(Kind::Floor)),
        ratio((kind != Kind::Floor).then_some(Kind::Bound)),
        ratio(kind.peer()),
        number(samples.cpu_us()),
    );
}

/// Three digits, or all before the point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn added(text: &mut String, measured: &[Measured]) {
    line(
        text,
        "### What isolation adds to the median of plain, copied, in µs\n",
    );
    let names: Vec<&str> = measured.iter().map(|one| one.placement.name()).collect();
    let head = names
        .iter()
        .flat_map(|name| ["WIT", "witx", "floor"].map(|way| format!("{way}, {name}")));
    let head: Vec<String> = head.collect();
    line(text, &format!("| payload | {} |", head.join(" | ")));
    line(text, &format!("|---|{}", "--:|".repeat(head.len())));
    let rows = measured.first().map_or(0, |one| one.rows.len());
    for index in 0..rows {
        let mut cells = Vec::new();
        let mut title = "";
        for row in measured.iter().filter_map(|one| one.rows.get(index)) {
            title = row.payload.title;
            for kind in [Kind::OursWit, Kind::OursWitx] {
                let own = of(row, kind).zip(of(row, Kind::Copy));
                let added = own.and_then(|(own, plain)| own.added_us(plain));
                cells.push(added.map_or_else(|| "–".to_owned(), number));
            }
            cells.push(
                of(row, Kind::Floor).map_or_else(String::new, |floor| number(floor.p50_us())),
            );
        }
        line(text, &format!("| {title} | {} |", cells.join(" | ")));
    }
    line(text, "");
}

fn loads(text: &mut String, measured: &[Measured]) {
    line(text, "### Loading efficientnet-lite0, in ms\n");
    line(
        text,
        "| placement | way | by name, first | by name, again | from bytes, first | from bytes, again |",
    );
    line(text, "|---|---|--:|--:|--:|--:|");
    for placement in measured {
        for load in &placement.loads {
            load_row(text, placement.placement.name(), load);
        }
    }
    line(text, "");
}

fn load_row(text: &mut String, placement: &str, load: &Loads) {
    let ms = |ns: u64| number(micros(ns) / 1000.0);
    let named = |ns: u64| {
        if load.kind.has_names() {
            ms(ns)
        } else {
            "–".to_owned()
        }
    };
    let offered = |ns: Option<u64>| ns.map_or_else(|| "not offered".to_owned(), ms);
    let _infallible = writeln!(
        text,
        "| {placement} | {} | {} | {} | {} | {} |",
        load.kind.name(),
        named(load.named_first),
        named(load.named_again),
        offered(load.bytes_first),
        offered(load.bytes_again),
    );
}

fn used(text: &mut String, memory: &[Used]) {
    line(text, "### Memory, in MiB\n");
    line(
        text,
        "| payload | way | peak, host | peak, all processes | in use, all processes, shared pages once |",
    );
    line(text, "|---|---|--:|--:|--:|");
    for used in memory {
        let _infallible = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            used.payload.title,
            used.kind.name(),
            used.host.peak / 1024,
            used.total.peak / 1024,
            used.total.proportional / 1024,
        );
    }
    line(text, "");
}
