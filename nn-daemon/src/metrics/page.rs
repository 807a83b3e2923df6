//! docs/metrics.md: the table of metrics as a page. Pure.

use super::histogram::BOUNDS_US;
use super::table::{About, Metric, Row};
use super::text::Seconds;
use super::{GUESTS, MODELS_MAX, OTHERS, TENANTS_MAX};

const HEAD: &str = "\
# Metrics

Written from the table in `nn-daemon/src/metrics/table.rs`; a test of nn-daemon keeps it in step, and writes it anew when it is
not. How to have them scraped: [operations](operations.md#metrics). Why it is made as it is: [ADR 33](adr/0033-metrics-by-hand.md).

`nnctl metrics` prints them in Prometheus' text format, to the daemon's user and root; `GET /metrics` over TCP gives the same
where `[metrics] listen` is set. Counters begin at 0 when the daemon starts. Memory of workers is measured when they have loaded
their model and every ten seconds, more often where `limits.models_memory_bytes_max` bounds it.
";

/// What stands over a section's table.
const COLUMNS: &str = "\
| metric | kind | labels | what it says |
|---|---|---|---|
";

const SECTIONS: [(About, &str); 6] = [
    (About::Computes, "Computes"),
    (About::Models, "Models"),
    (About::Tenants, "Tenants"),
    (About::Workers, "Workers"),
    (About::Memory, "Memory"),
    (About::Daemon, "The daemon itself"),
];

/// The page.
fn page() -> String {
    let mut page = HEAD.to_owned();
    for (about, title) in SECTIONS {
        page.push_str(&format!("\n## {title}\n\n{COLUMNS}"));
        let rows = Metric::ALL.iter().map(|metric| metric.row());
        page.extend(rows.filter(|row| row.about == about).map(|row| line(&row)));
    }
    let bounds: Vec<String> = BOUNDS_US.map(|us| Seconds(us).to_string()).into();
    page.push_str(&format!(
        "
## Labels

- `model` and `version` are those of `nnctl list`. {MODELS_MAX} versions have series of their own; what is beyond that counts
  under `model=\"{OTHERS}\"`. All models that guests have loaded from bytes are `model=\"{GUESTS}\"`: their names are hashes, and
  do not end.
- `tenant`: {TENANTS_MAX} tenants have series of their own, the others are `tenant=\"{OTHERS}\"`. A tenant without a session, or a
  version that is gone, makes room for the next; what it had counted goes on in `{OTHERS}`, so sums never fall. A tenant that was
  only refused gets no series.
- `code` is `ok`, or a code of [errors](errors.md); `reason` one of its reasons, `none` for a fault that names none. Per model and
  tenant a code or reason is there from its first time on.
- `stage`: `run` is what the worker took for the job, framework, conversions and copies of its own together; `hop` what is left:
  sockets, the daemon itself, and the time behind another job of the worker's window (`limits.worker_window`). `copy` comes before
  these and is of KServe's clients alone: their inputs, from a message to shared memory. What hosts take to copy tensors in and out
  is in none of them: the daemon does not see it.
- `cause` and `reason` of `nn_compute_stops_total` are those of `nnctl status`. A clean end of a worker is not counted.
- `process` and `layer`: those of `nnctl sandbox explain`, and `cgroup` for the control groups of workers.

Buckets of every histogram end at {} seconds.
",
        bounds.join(", ")
    ));
    page
}

fn line(row: &Row) -> String {
    let labels = row.labels.iter().map(|label| format!("`{label}`"));
    let labels = labels.collect::<Vec<_>>().join(", ");
    let (name, kind, help) = (row.name, row.kind.name(), row.help);
    format!("| `{name}` | {kind} | {labels} | {help} |\n")
}

mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_in_docs_is_what_the_table_says() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let found = fs::read_to_string(&file).unwrap_or_default();
        if found == page() {
            return;
        }
        fs::write(&file, page()).unwrap();
        panic!("docs/metrics.md was stale and has been written anew: look at the difference");
    }

    #[test]
    fn every_metric_stands_in_the_page_once() {
        let page = page();
        let lines = |metric: &&Metric| {
            page.matches(&format!("| `{}` |", metric.row().name))
                .count()
        };
        let odd: Vec<_> = Metric::ALL
            .iter()
            .filter(|metric| lines(metric) != 1)
            .collect();
        assert!(odd.is_empty(), "{odd:?}");
    }
}
