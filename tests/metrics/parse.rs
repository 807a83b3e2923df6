//! Prometheus' text format, read strictly: what it does not allow fails the test.

use std::collections::{BTreeMap, BTreeSet};

/// Names and values of a sample's labels.
pub(crate) type Labels = BTreeMap<String, String>;

/// One metric.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) kind: String,
    /// By name, which for a histogram has an ending, and labels.
    pub(crate) samples: BTreeMap<(String, Labels), f64>,
}

/// All that was said.
#[derive(Debug)]
pub(crate) struct Said(pub(crate) BTreeMap<String, Family>);

// === impl Said ===

impl Said {
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has an end");
        let mut all = BTreeMap::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = words(line, "# HELP ");
            assert!(!help.is_empty(), "{line}");
            let (typed, kind) = words(lines.next().unwrap(), "# TYPE ");
            assert_eq!(name, typed);
            let mut family = Family {
                kind: kind.to_owned(),
                samples: BTreeMap::new(),
            };
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (sample, value) = sample(line);
                let of = sample.0.strip_prefix(name).unwrap();
                let endings: &[&str] = match kind {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    "counter" | "gauge" => &[""],
                    other => panic!("a metric of kind {other:?}"),
                };
                assert!(endings.contains(&of), "{line}");
                assert!(value >= 0.0, "{line}");
                assert!(family.samples.insert(sample, value).is_none(), "{line}");
            }
            if kind == "histogram" {
                family.check_buckets(name);
            }
            assert!(all.insert(name.to_owned(), family).is_none(), "{name}");
        }
        Self(all)
    }

    /// The value of a sample, by its name and some of its labels; the sum, if there are several; `None` without any.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let endings = ["_bucket", "_sum", "_count"];
        let bases = endings.iter().filter_map(|end| name.strip_suffix(end));
        let families = bases.chain([name]).filter_map(|base| self.0.get(base));
        let fits = |of: &Labels| {
            let has = |(label, value): &(&str, &str)| of.get(*label).is_some_and(|of| of == value);
            labels.iter().all(has)
        };
        let samples = families.flat_map(|family| &family.samples);
        let fitting = samples.filter(|((of, set), _)| of == name && fits(set));
        fitting.map(|(_, value)| *value).reduce(|a, b| a + b)
    }

    /// The same of what is there, or is 0.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.value(name, labels).unwrap_or_default()
    }
}

// === impl Family ===

impl Family {
    /// The labels of its samples, each set once.
    pub(crate) fn labels(&self) -> BTreeSet<Vec<&str>> {
        let sets = self.samples.keys().map(|(_, labels)| labels);
        sets.map(|set| {
            let names = set.keys().map(String::as_str);
            names.filter(|name| *name != "le").collect()
        })
        .collect()
    }

    /// Buckets do not fall, and the last one is the count.
    fn check_buckets(&self, name: &str) {
        let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for ((sample, labels), value) in &self.samples {
            if *sample == format!("{name}_bucket") {
                let mut rest = labels.clone();
                let bound: f64 = rest.remove("le").unwrap().parse().unwrap();
                series.entry(rest).or_default().push((bound, *value));
            }
        }
        for (labels, mut buckets) in series {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{name} {labels:?}");
            let last = buckets.last().unwrap();
            assert!(last.0.is_infinite(), "{name} {labels:?}");
            let count = self.samples.get(&(format!("{name}_count"), labels.clone()));
            assert_eq!(count, Some(&last.1), "{name} {labels:?}");
            assert!(self.samples.contains_key(&(format!("{name}_sum"), labels)));
        }
    }
}

fn words<'a>(line: &'a str, begin: &str) -> (&'a str, &'a str) {
    let rest = line.strip_prefix(begin);
    let rest = rest.unwrap_or_else(|| panic!("expected {begin:?}, got {line:?}"));
    rest.split_once(' ').unwrap()
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(fits)
}

/// `name{label="value",…} 1.5`.
fn sample(line: &str) -> ((String, Labels), f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    let value = match rest.strip_prefix('{') {
        None => rest.strip_prefix(' ').unwrap(),
        Some(rest) => {
            let mut rest = rest;
            loop {
                let (label, after) = rest.split_once("=\"").unwrap();
                assert!(is_name(label), "{line}");
                let (value, after) = quoted(after);
                assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
                match after.split_at(1) {
                    (",", after) => rest = after,
                    ("}", after) => break after.strip_prefix(' ').unwrap(),
                    _ => panic!("{line}"),
                }
            }
        }
    };
    let odd = value.contains(|c: char| !c.is_ascii_digit() && c != '.');
    assert!(!odd, "{line}");
    ((name.to_owned(), labels), value.parse().unwrap())
}

/// Up to the quotation mark that ends it.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match characters.next().unwrap().1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                other => panic!("an escape {other:?}"),
            }),
            other => value.push(other),
        }
    }
    panic!("a value without an end: {text}");
}
