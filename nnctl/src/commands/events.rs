//! `nnctl events`: what has happened, a line each; with `--follow` also what happens from now on.

use nn_proto::v1;
use serde::Serialize;

use crate::cli::EventsArgs;
use crate::daemon::{Daemon, within};
use crate::failure::Failure;
use crate::output::{Output, printable, stamp};

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

/// Prints what comes, until the daemon has no more.
pub(crate) async fn run(daemon: &Daemon, args: &EventsArgs, json: bool) -> Result<(), Failure> {
    let request = v1::EventsRequest {
        after: args.after,
        follow: args.follow,
    };
    let mut admin = daemon.admin();
    let mut events = within("events", admin.events(request)).await?.into_inner();
    while let Some(event) = events.message().await? {
        let event = EventView::from(event);
        Output::data(&if json { event.json() } else { event.text() })?;
    }
    Ok(())
}

impl EventView {
    /// `2026-11-23T05:42:07.123Z  12  promoted  foo@2  uid 0: why`.
    fn text(&self) -> String {
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
        let line = format!(
            "{}  {:>6}  {:<11}  {}  {}  {}",
            stamp(self.unix_us),
            self.number,
            printable(&self.kind),
            printable(model),
            printable(&who),
            printable(&self.detail),
        );
        format!("{}\n", line.trim_end())
    }

    /// One object a line: what follows can be read as it comes.
    fn json(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
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

    fn event() -> EventView {
        EventView::from(v1::Event {
            number: 12,
            unix_us: 1_795_412_520_123_000,
            kind: "promoted".to_owned(),
            model: "foo@2".to_owned(),
            uid: Some(0),
            pid: Some(7),
            ..v1::Event::default()
        })
    }

    #[test]
    fn an_event_is_a_line() {
        let line = "2026-11-23T05:42:00.123Z      12  promoted     foo@2  uid 0\n";
        assert_eq!(event().text(), line);
    }

    #[test]
    fn json_is_an_object_a_line() {
        let json = event().json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&value["number"], &value["uid"]), (&12.into(), &0.into()));
        assert_eq!(json.lines().count(), 1);
    }

    #[test]
    fn an_event_cannot_steer_the_terminal() {
        let mut event = event();
        event.detail = "a\u{1b}[2J".to_owned();
        assert!(event.text().contains("a\\u{1b}[2J"));
    }
}
