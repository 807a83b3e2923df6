//! `nnctl events`: what has happened, a line each; with `--follow` also what happens from now on. What is not asked for
//! is left out here: the daemon tells everything.

use nn_proto::v1;
use nn_tensor::{Fault, ModelRef, Selector};
use serde::Serialize;

use crate::cli::EventsArgs;
use crate::daemon::{Daemon, within};
use crate::failure::Failure;
use crate::output::{Output, Paint, Report, printable, stamp};

/// The longest kind, for those who read lines under each other.
const KIND_WIDTH: usize = "quarantined".len();

/// Which of them are wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    request: v1::EventsRequest,
    /// Empty for every kind.
    kinds: Vec<String>,
    model: Option<ModelRef>,
}

/// One of them.
#[derive(Debug, Serialize)]
struct EventView {
    number: u64,
    unix_us: u64,
    kind: String,
    model: String,
    tenant: String,
    /// Who has caused it; `null` for the daemon itself.
    uid: Option<u32>,
    pid: Option<u32>,
    detail: String,
}

/// Refuses what needs no daemon to be refused.
pub(crate) fn check(args: EventsArgs) -> Result<Wanted, Failure> {
    let alias = |model: &&ModelRef| matches!(model.selector, Selector::Alias(_));
    if let Some(model) = args.model.as_ref().filter(alias) {
        let fault = Fault::invalid_argument("events do not tell of aliases' versions")
            .expected("NAME, or NAME@VERSION")
            .got(model.to_string());
        return Err(Failure::usage(fault));
    }
    Ok(Wanted {
        request: v1::EventsRequest {
            after: args.after,
            follow: args.follow,
        },
        kinds: args.kinds,
        model: args.model,
    })
}

/// Prints what comes, until the daemon has no more.
pub(crate) async fn run(daemon: &Daemon, wanted: Wanted, output: Output) -> Result<(), Failure> {
    let mut admin = daemon.admin();
    let mut events = within("events", admin.events(wanted.request))
        .await?
        .into_inner();
    while let Some(event) = events.message().await? {
        if wanted.has(&event) {
            output.line(&EventView::from(event))?;
        }
    }
    Ok(())
}

// === impl Wanted ===

impl Wanted {
    /// One without a number is about the stream, and so about what is wanted.
    fn has(&self, event: &v1::Event) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.contains(&event.kind);
        let model = self.model.as_ref().is_none_or(|model| {
            let (name, version) = event.model.split_once('@').unwrap_or((&event.model, ""));
            let is_named = name == model.name.as_str();
            match model.selector {
                Selector::Version(wanted) => is_named && version == wanted.to_string(),
                Selector::Current | Selector::Alias(_) => is_named,
            }
        });
        event.number == 0 || (kind && model)
    }
}

// === impl EventView ===

impl Report for EventView {
    /// `2026-11-23T05:42:07.123Z  12  promoted  foo@2  uid 0: why`.
    fn text(&self, paint: Paint) -> String {
        let who = match (self.uid, self.tenant.as_str()) {
            (Some(uid), "") => format!("uid {uid}"),
            (Some(uid), tenant) => format!("uid {uid} for {tenant}"),
            (None, "") => "-".to_owned(),
            (None, tenant) => format!("for {tenant}"),
        };
        let model = if self.model.is_empty() {
            "-"
        } else {
            &self.model
        };
        let kind = printable(&self.kind);
        let line = format!(
            "{}  {:>6}  {}{:room$}  {}  {}  {}",
            stamp(self.unix_us),
            self.number,
            paint.word(&kind),
            "",
            printable(model),
            printable(&who),
            printable(&self.detail),
            room = KIND_WIDTH.saturating_sub(kind.chars().count()),
        );
        format!("{}\n", line.trim_end())
    }
}

impl From<v1::Event> for EventView {
    fn from(event: v1::Event) -> Self {
        Self {
            number: event.number,
            unix_us: event.unix_us,
            kind: event.kind,
            model: event.model,
            tenant: event.tenant,
            uid: event.uid,
            pid: event.pid,
            detail: event.detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn event() -> v1::Event {
        v1::Event {
            number: 12,
            unix_us: 1_795_412_520_123_000,
            kind: "promoted".to_owned(),
            model: "foo@2".to_owned(),
            uid: Some(0),
            pid: Some(7),
            ..v1::Event::default()
        }
    }

    fn args(kinds: &[&str], model: Option<&str>) -> EventsArgs {
        EventsArgs {
            follow: false,
            after: 0,
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            model: model.map(|model| model.parse().unwrap()),
        }
    }

    fn wants(kinds: &[&str], model: Option<&str>) -> bool {
        check(args(kinds, model)).unwrap().has(&event())
    }

    #[test]
    fn an_event_is_a_line() {
        let line = "2026-11-23T05:42:00.123Z      12  promoted     foo@2  uid 0\n";
        assert_eq!(EventView::from(event()).text(Paint::Plain), line);
    }

    #[test]
    fn an_event_cannot_steer_the_terminal() {
        let mut event = event();
        event.detail = "a\u{1b}[2J".to_owned();
        let text = EventView::from(event).text(Paint::Plain);
        assert!(text.contains("a\\u{1b}[2J"));
    }

    #[test]
    fn only_what_is_asked_for_is_wanted() {
        assert!(wants(&[], None));
        assert!(wants(&["state", "promoted"], Some("foo")));
        assert!(wants(&[], Some("foo@2")));
        assert!(!wants(&["state"], None));
        assert!(!wants(&[], Some("foo@1")));
        assert!(!wants(&[], Some("fo")));
    }

    #[test]
    fn that_events_were_lost_is_wanted_by_everybody() {
        let lost = v1::Event {
            kind: "lost".to_owned(),
            ..v1::Event::default()
        };
        let wanted = check(args(&["state"], Some("foo"))).unwrap();
        assert!(wanted.has(&lost));
    }

    #[test]
    fn an_alias_is_refused_as_usage() {
        let failure = check(args(&[], Some("foo:canary"))).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }
}
