//! Prometheus' text format, version 0.0.4: a family at a time, its help and type before its samples. Pure. There are
//! libraries for it; ADR 33 says why this is none of them.

use std::fmt::{self, Write as _};

use super::histogram::{BOUNDS_US, Seen};
use super::table::Metric;

/// The content type that it is given as.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is being written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// One metric's samples, as long as it is their turn.
#[derive(Debug)]
pub(super) struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
    labels: &'static [&'static str],
}

/// Microseconds as the seconds that they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seconds(pub(super) u64);

/// A label's value, escaped.
struct Escaped<'a>(&'a str);

// === impl Text ===

impl Text {
    /// Begins a metric. Each has one turn.
    pub(super) fn family(&mut self, metric: Metric) -> Family<'_> {
        let row = metric.row();
        let (name, kind, help) = (row.name, row.kind.name(), row.help);
        put(
            &mut self.0,
            format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
        );
        Family {
            out: &mut self.0,
            name,
            labels: row.labels,
        }
    }

    /// A metric without labels.
    pub(super) fn one(&mut self, metric: Metric, value: impl fmt::Display) {
        self.family(metric).sample(&[], value);
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

// === impl Family ===

impl Family<'_> {
    /// A sample, its labels' values in the order of the table.
    pub(super) fn sample(&mut self, values: &[&str], value: impl fmt::Display) {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        self.out.push_str(self.name);
        let labels = self.labelled(values);
        if !labels.is_empty() {
            put(self.out, format_args!("{{{labels}}}"));
        }
        put(self.out, format_args!(" {value}\n"));
    }

    /// All that a histogram says.
    pub(super) fn histogram(&mut self, values: &[&str], seen: &Seen) {
        let name = self.name;
        let labels = self.labelled(values);
        let comma = if labels.is_empty() { "" } else { "," };
        for (bound_us, count) in BOUNDS_US.iter().zip(seen.up_to) {
            let bound = Seconds(*bound_us);
            put(
                self.out,
                format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}\n"),
            );
        }
        let (all, sum) = (seen.all(), Seconds(seen.sum_us));
        put(
            self.out,
            format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {all}\n"),
        );
        let set = match labels.as_str() {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        put(
            self.out,
            format_args!("{name}_sum{set} {sum}\n{name}_count{set} {all}\n"),
        );
    }

    fn labelled(&self, values: &[&str]) -> String {
        let mut labels = String::new();
        for (place, (label, value)) in self.labels.iter().zip(values).enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let value = Escaped(value);
            put(&mut labels, format_args!("{comma}{label}=\"{value}\""));
        }
        labels
    }
}

/// A string takes whatever is written to it.
fn put(out: &mut String, what: fmt::Arguments<'_>) {
    let _ = out.write_fmt(what);
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:06}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Histogram;
    use super::*;

    #[test]
    fn a_family_has_its_help_and_type_before_its_samples() {
        let mut text = Text::default();
        let mut family = text.family(Metric::Stops);
        family.sample(&["deadline"], 3);
        family.sample(&["cancelled"], 0);
        let help = Metric::Stops.row().help;
        let expected = format!(
            "# HELP nn_compute_stops_total {help}\n# TYPE nn_compute_stops_total counter\n\
             nn_compute_stops_total{{reason=\"deadline\"}} 3\nnn_compute_stops_total{{reason=\"cancelled\"}} 0\n"
        );
        assert_eq!(text.into_string(), expected);
    }

    #[test]
    fn a_label_cannot_end_its_value_or_its_line() {
        let mut text = Text::default();
        text.family(Metric::TenantSessions)
            .sample(&["a\"b\\c\n"], 1);
        let line = "nn_tenant_sessions{tenant=\"a\\\"b\\\\c\\n\"} 1\n";
        assert!(text.into_string().ends_with(line));
    }

    #[test]
    fn times_are_seconds_without_a_float_between() {
        let said = [0, 1, 50, 1_000, 2_500_000, 60_000_000].map(|us| Seconds(us).to_string());
        assert_eq!(said, ["0", "0.000001", "0.00005", "0.001", "2.5", "60"]);
    }

    #[test]
    fn a_histogram_has_every_bucket_its_sum_and_its_count() {
        let histogram = Histogram::default();
        histogram.add_us(70);
        let mut text = Text::default();
        text.family(Metric::Loads).histogram(&[], &histogram.seen());
        let text = text.into_string();
        assert!(text.contains("nn_worker_load_duration_seconds_bucket{le=\"0.00005\"} 0\n"));
        assert!(text.contains("nn_worker_load_duration_seconds_bucket{le=\"0.0001\"} 1\n"));
        assert!(text.contains("_bucket{le=\"+Inf\"} 1\n"));
        assert!(text.ends_with("_sum 0.00007\nnn_worker_load_duration_seconds_count 1\n"));
    }
}
