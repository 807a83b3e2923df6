//! What its operator says of a model.

use nn_proto::v1;
use serde::Serialize;

use crate::output::micros;

/// Empty and `null` for what is not said.
#[derive(Debug, Default, Serialize)]
pub(super) struct Card {
    pub(super) description: String,
    pub(super) licence: String,
    pub(super) source: String,
    /// Who alone may use it, for operators.
    pub(super) tenants: Vec<String>,
    pub(super) queue_max: Option<u32>,
    pub(super) compute_us_max: Option<u64>,
    pub(super) load_us_max: Option<u64>,
    pub(super) keep_alive_us: Option<u64>,
    pub(super) threads: Option<u32>,
    pub(super) precision: String,
    pub(super) instances_min: Option<u32>,
    pub(super) instances_max: Option<u32>,
    /// The model's name and version at its endpoints.
    pub(super) remote_model: String,
    pub(super) remote_version: String,
    /// A worker here computes what no endpoint could be asked.
    pub(super) falls_back: bool,
    pub(super) labels: Vec<Labels>,
}

/// What the numbers of an output stand for.
#[derive(Debug, Serialize)]
pub(super) struct Labels {
    pub(super) output: String,
    pub(super) labels: Vec<String>,
}

/// How many labels are shown in a line.
const LABELS_SHOWN: usize = 5;

impl Card {
    /// Name and value of each, for people; empty where nothing is said.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let count = |number: Option<u32>| number.map_or_else(String::new, |n| n.to_string());
        let wait = |time: Option<u64>| time.map_or_else(String::new, micros);
        let mut facts = vec![
            ("about", self.description.clone()),
            ("licence", self.licence.clone()),
            ("origin", self.source.clone()),
            ("for", self.tenants.join(", ")),
            ("threads", count(self.threads)),
            ("precision", self.said_precision()),
            ("instances", self.instances()),
            ("queue", count(self.queue_max)),
            ("call max", wait(self.compute_us_max)),
            ("load max", wait(self.load_us_max)),
            ("rests after", wait(self.keep_alive_us)),
            ("there", self.there()),
        ];
        facts.extend(self.labels.iter().map(|labels| ("labels", labels.text())));
        facts
    }

    /// Where it is not what every model has that says nothing.
    fn said_precision(&self) -> String {
        let said = Some(&self.precision).filter(|said| *said != "f32");
        said.cloned().unwrap_or_default()
    }

    /// `resnet, version 3; what cannot be sent is computed here`.
    fn there(&self) -> String {
        let version = match self.remote_version.as_str() {
            "" => String::new(),
            version => format!("version {version}"),
        };
        let named = [self.remote_model.clone(), version];
        let named: Vec<String> = named.into_iter().filter(|of| !of.is_empty()).collect();
        let falls_back = self
            .falls_back
            .then(|| "what cannot be sent is computed here".to_owned());
        let all = Some(named.join(", ")).filter(|of| !of.is_empty());
        all.into_iter()
            .chain(falls_back)
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// `2`, `1-4`.
    fn instances(&self) -> String {
        match (self.instances_min, self.instances_max) {
            (Some(min), Some(max)) if min == max => min.to_string(),
            (Some(min), Some(max)) => format!("{min}-{max}"),
            _ => String::new(),
        }
    }
}

impl Labels {
    /// `Softmax: cat, dog, … (1000)`.
    fn text(&self) -> String {
        let shown: Vec<&str> = self
            .labels
            .iter()
            .map(String::as_str)
            .take(LABELS_SHOWN)
            .collect();
        let more = if self.labels.len() > LABELS_SHOWN {
            ", …"
        } else {
            ""
        };
        format!(
            "{}: {}{more} ({})",
            self.output,
            shown.join(", "),
            self.labels.len()
        )
    }
}

impl From<v1::ModelCard> for Card {
    fn from(card: v1::ModelCard) -> Self {
        let labels = card.labels.into_iter();
        Self {
            description: card.description,
            licence: card.licence,
            source: card.source,
            tenants: card.tenants,
            queue_max: (card.queue_max != 0).then_some(card.queue_max),
            compute_us_max: (card.compute_us_max != 0).then_some(card.compute_us_max),
            load_us_max: (card.load_us_max != 0).then_some(card.load_us_max),
            keep_alive_us: (card.keep_alive_us != 0).then_some(card.keep_alive_us),
            threads: (card.threads != 0).then_some(card.threads),
            precision: card.precision,
            instances_min: (card.instances_max != 0).then_some(card.instances_min),
            instances_max: (card.instances_max != 0).then_some(card.instances_max),
            remote_model: card.remote_model,
            remote_version: card.remote_version,
            falls_back: card.falls_back,
            labels: labels
                .map(|v1::OutputLabels { output, labels }| Labels { output, labels })
                .collect(),
        }
    }
}
