//! `nnctl sandbox explain broker` and `… spawner`: what one of our own processes keeps once it has jailed itself, and
//! why. Where no daemon answers, the profile is shown as it is compiled in here.

use std::path::Path;

use nn_proto::v1;
use nn_sandbox::{OwnProfile, When};
use serde::Serialize;

use super::text::LAYER_HEADINGS;
use super::{CallView, excuse};
use crate::failure::Failure;
use crate::output::{Paint, Report, Table, facts};

/// A profile, and what the daemon says became of it.
#[derive(Debug, Serialize)]
pub(crate) struct OwnExplanation {
    profile: &'static str,
    process: &'static str,
    /// Who says which layers there are.
    source: String,
    /// What the kernel says of the process; `null` where no daemon answers.
    kernel: Option<String>,
    layers: Vec<LayerView>,
    grants: Vec<GrantView>,
    /// Those that it keeps where it has them.
    capabilities: Vec<CapabilityView>,
    /// A call that stands here twice may meet the conditions of either.
    allowed: Vec<CallView>,
    /// Calls among them that are answered with an error, and not made.
    answered: Vec<CallView>,
    bpf_instructions: usize,
}

#[derive(Debug, Serialize)]
struct LayerView {
    layer: &'static str,
    /// `require` or `prefer`.
    need: &'static str,
    /// `null` where no daemon answers.
    active: Option<bool>,
    detail: String,
}

#[derive(Debug, Serialize)]
struct GrantView {
    place: &'static str,
    access: String,
    why: &'static str,
}

#[derive(Debug, Serialize)]
struct CapabilityView {
    name: &'static str,
    /// `always`, or `privileged`: where namespaces take privileges.
    when: &'static str,
    why: &'static str,
}

/// The daemon's answer beside the profile.
pub(super) fn weigh(
    profile: &'static OwnProfile,
    socket: &Path,
    answer: Result<v1::StatusResponse, Failure>,
) -> OwnExplanation {
    let (source, jail) = match answer {
        Ok(answer) => {
            let pid = answer.pid;
            let mut jails = answer.jails.into_iter();
            match jails.find(|jail| jail.profile == profile.name) {
                Some(jail) => (format!("as nn-daemon pid {pid} found them"), Some(jail)),
                None => (
                    format!("nn-daemon pid {pid} does not tell; as compiled in here"),
                    None,
                ),
            }
        }
        Err(failure) => {
            let excuse = excuse(socket, &failure);
            (format!("{excuse}; as compiled in here"), None)
        }
    };
    OwnExplanation::new(profile, source, jail.as_ref())
}

// === impl OwnExplanation ===

impl OwnExplanation {
    fn new(profile: &'static OwnProfile, source: String, jail: Option<&v1::JailStatus>) -> Self {
        let layers = profile.layers.iter().map(|rule| {
            let name = rule.layer.name();
            let mut told = jail.iter().flat_map(|jail| &jail.layers);
            let told = told.find(|told| told.layer == name);
            LayerView {
                layer: name,
                need: match rule.need {
                    nn_sandbox::Need::Require => "require",
                    nn_sandbox::Need::Prefer => "prefer",
                },
                active: told.map(|told| told.active),
                detail: told.map_or_else(|| rule.what.to_owned(), |told| told.detail.clone()),
            }
        });
        let grants = profile.grants.iter().map(|rule| GrantView {
            place: rule.place,
            access: rule.access.to_string(),
            why: rule.why,
        });
        let capabilities = profile.capabilities.iter().map(|kept| CapabilityView {
            name: kept.name,
            when: match kept.when {
                When::Always => "always",
                When::Privileged => "privileged",
            },
            why: kept.why,
        });
        Self {
            profile: profile.name,
            process: profile.process,
            source,
            kernel: jail.map(|jail| jail.kernel.clone()),
            layers: layers.collect(),
            grants: grants.collect(),
            capabilities: capabilities.collect(),
            allowed: profile.calls.iter().map(Into::into).collect(),
            answered: profile.answered.iter().map(Into::into).collect(),
            bpf_instructions: profile.filter.len(),
        }
    }

    fn head(&self, paint: Paint) -> String {
        let kernel = self.kernel.as_deref().unwrap_or("-");
        let about = [
            ("profile", self.profile),
            ("process", self.process),
            ("layers", &self.source),
            ("kernel", kernel),
        ];
        facts(&about, paint)
    }

    fn layers(&self, paint: Paint) -> String {
        let mut table = Table::new(&LAYER_HEADINGS);
        for view in &self.layers {
            let state = match view.active {
                Some(true) => "active",
                Some(false) => "MISSING",
                None => "unknown",
            };
            let cells = [view.layer, view.need, state, &view.detail];
            table.row(cells.map(str::to_owned));
        }
        table.render(paint)
    }

    fn files(&self, paint: Paint) -> String {
        if self.grants.is_empty() {
            return "Landlock is not used: what it restricts can mount nothing\n".to_owned();
        }
        let mut table = Table::new(&["FILES BELOW", "TO", "WHY"]);
        for view in &self.grants {
            table.row([view.place, &view.access, view.why].map(str::to_owned));
        }
        table.render(paint)
    }

    fn capabilities(&self, paint: Paint) -> String {
        if self.capabilities.is_empty() {
            return "capabilities: none, in any set\n".to_owned();
        }
        let mut table = Table::new(&["CAPABILITY", "KEPT", "WHY"]);
        for view in &self.capabilities {
            let when = match view.when {
                "always" => "where it is there",
                _ => "where namespaces take privileges",
            };
            table.row([view.name, when, view.why].map(str::to_owned));
        }
        table.render(paint)
    }

    fn calls(&self, paint: Paint) -> String {
        let mut table = Table::new(&["SYSTEM CALL", "ONLY IF", "WHY"]);
        for call in &self.allowed {
            let conditions = call.conditions.join(", and ");
            table.row([call.name, &conditions, call.why].map(str::to_owned));
        }
        let mut text = table.render(paint);
        for call in &self.answered {
            text.push_str(&format!("{} is not made: {}\n", call.name, call.why));
        }
        let (process, instructions) = (self.process, self.bpf_instructions);
        format!("{text}any other call ends {process} ({instructions} BPF instructions)\n")
    }
}

impl Report for OwnExplanation {
    fn text(&self, paint: Paint) -> String {
        let sections = [
            self.head(paint),
            self.layers(paint),
            self.files(paint),
            self.capabilities(paint),
            self.calls(paint),
        ];
        sections.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker() -> &'static OwnProfile {
        OwnProfile::named("broker").unwrap()
    }

    fn answer() -> v1::StatusResponse {
        let missing = v1::ProtectionStatus {
            layer: "landlock".to_owned(),
            need: "prefer".to_owned(),
            detail: "too old".to_owned(),
            ..v1::ProtectionStatus::default()
        };
        v1::StatusResponse {
            pid: 9,
            jails: vec![v1::JailStatus {
                process: "nn-daemon".to_owned(),
                profile: "broker".to_owned(),
                layers: vec![missing],
                kernel: "NoNewPrivs: 1".to_owned(),
                ..v1::JailStatus::default()
            }],
            ..v1::StatusResponse::default()
        }
    }

    #[test]
    fn a_missing_layer_is_shown_with_the_daemons_reason() {
        let text = weigh(broker(), Path::new("/x"), Ok(answer())).text(Paint::Plain);
        assert!(
            text.contains("MISSING") && text.contains("too old"),
            "{text}"
        );
        assert!(
            text.contains("NoNewPrivs: 1") && text.contains("nn-daemon pid 9"),
            "{text}"
        );
    }

    #[test]
    fn every_call_and_every_place_has_its_reason() {
        let shown = weigh(broker(), Path::new("/x"), Ok(answer()));
        assert!(shown.allowed.iter().all(|call| !call.why.is_empty()));
        assert!(shown.grants.iter().any(|grant| grant.place == "state_dir"));
        let text = shown.text(Paint::Plain);
        assert!(text.contains("clone3 is not made: ENOSYS"), "{text}");
    }

    #[test]
    fn an_older_daemon_that_tells_no_jails_is_said() {
        let text =
            weigh(broker(), Path::new("/x"), Ok(v1::StatusResponse::default())).text(Paint::Plain);
        assert!(text.contains("does not tell"), "{text}");
    }
}
