//! `nnctl quarantine`: models that are refused because their workers crashed too often, and letting them be tried again.

use nn_proto::v1;
use serde::Serialize;

use crate::daemon::{Daemon, within};
use crate::failure::Failure;
use crate::output::{Paint, Report, Table, printable, utc};

/// What is refused.
#[derive(Debug, Serialize)]
pub(crate) struct Quarantine {
    quarantined: Vec<Quarantined>,
}

/// What may be tried again.
#[derive(Debug, Serialize)]
pub(crate) struct Lifted {
    lifted: Vec<Quarantined>,
}

#[derive(Debug, Serialize)]
struct Quarantined {
    sha256: String,
    /// For whom alone; empty for everybody.
    tenant: String,
    /// A guest of that tenant and of the peer `uid` loaded it.
    guest: bool,
    /// 0 where it is not a guest's.
    uid: u32,
    /// It crashed before it had any input.
    at_load: bool,
    since_unix_s: u64,
    crashes: Vec<Crashes>,
    /// NAME@VERSION of each that has these bytes.
    models: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Crashes {
    cause: String,
    count: u64,
}

/// Digits that tell models apart for people.
const DIGITS: usize = 12;

/// Asks the daemon what is refused.
pub(crate) async fn list(daemon: &Daemon) -> Result<Quarantine, Failure> {
    let mut admin = daemon.admin();
    let request = v1::ListQuarantineRequest {};
    let answer = within("quarantine list", admin.list_quarantine(request)).await?;
    Ok(Quarantine {
        quarantined: views(answer.into_inner().quarantined),
    })
}

/// Has the daemon let be tried again what a name or a digest means.
pub(crate) async fn lift(daemon: &Daemon, which: String) -> Result<Lifted, Failure> {
    let mut admin = daemon.admin();
    let request = v1::LiftQuarantineRequest { which };
    let answer = within("quarantine lift", admin.lift_quarantine(request)).await?;
    Ok(Lifted {
        lifted: views(answer.into_inner().lifted),
    })
}

fn views(all: Vec<v1::Quarantined>) -> Vec<Quarantined> {
    all.into_iter().map(Into::into).collect()
}

// === impl Quarantine ===

impl Report for Quarantine {
    fn text(&self, paint: Paint) -> String {
        if self.quarantined.is_empty() {
            return "nothing is in quarantine\n".to_owned();
        }
        let mut table = Table::new(&["DIGEST", "MODELS", "FOR", "SINCE", "WHEN", "CRASHES"]);
        for one in &self.quarantined {
            table.row([
                one.digits().to_owned(),
                one.models_text(),
                one.whom_text(),
                utc(one.since_unix_s),
                if one.at_load { "load" } else { "compute" }.to_owned(),
                one.crashes_text(),
            ]);
        }
        table.render(paint)
    }
}

// === impl Lifted ===

impl Report for Lifted {
    fn text(&self, _: Paint) -> String {
        let line = |one: &Quarantined| {
            let of = [one.digits().to_owned(), one.models.join(", ")].join(" ");
            format!("{} may be tried again\n", printable(of.trim_end()))
        };
        self.lifted.iter().map(line).collect()
    }
}

// === impl Quarantined ===

impl Quarantined {
    fn digits(&self) -> &str {
        self.sha256.get(..DIGITS).unwrap_or(&self.sha256)
    }

    fn models_text(&self) -> String {
        self.models.join(", ")
    }

    fn whom_text(&self) -> String {
        match (self.tenant.as_str(), self.guest) {
            ("", _) => "all".to_owned(),
            (tenant, true) => format!("guests of {tenant}, uid {}", self.uid),
            (tenant, false) => tenant.to_owned(),
        }
    }

    fn crashes_text(&self) -> String {
        let crashes = self.crashes.iter();
        let crashes: Vec<String> = crashes
            .map(|c| format!("{} {}", c.count, c.cause))
            .collect();
        crashes.join(", ")
    }
}

impl From<v1::Quarantined> for Quarantined {
    fn from(one: v1::Quarantined) -> Self {
        let crashes = one.crashes.into_iter().map(|crash| Crashes {
            cause: crash.cause,
            count: crash.count,
        });
        Self {
            sha256: one.sha256,
            tenant: one.tenant,
            guest: one.guest,
            uid: one.uid,
            at_load: one.at_load,
            since_unix_s: one.since_unix_s,
            crashes: crashes.collect(),
            models: one.models,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(tenant: &str, models: &[&str]) -> Quarantined {
        let crash = |cause: &str, count| v1::EndStatus {
            cause: cause.to_owned(),
            count,
        };
        Quarantined::from(v1::Quarantined {
            sha256: "ab".repeat(32),
            tenant: tenant.to_owned(),
            guest: !tenant.is_empty(),
            uid: 1000,
            at_load: tenant.is_empty(),
            since_unix_s: 1_795_412_520,
            crashes: vec![crash("crash", 2), crash("panic", 1)],
            models: models.iter().map(|&model| model.to_owned()).collect(),
        })
    }

    #[test]
    fn what_is_refused_is_a_line_each() {
        let all = Quarantine {
            quarantined: vec![one("", &["foo@1", "bar@2"]), one("shop", &[])],
        };
        assert_eq!(
            all.text(Paint::Plain),
            "\
DIGEST        MODELS        FOR                       SINCE                 WHEN     CRASHES
abababababab  foo@1, bar@2  all                       2026-11-23 05:42 UTC  load     2 crash, 1 panic
abababababab  -             guests of shop, uid 1000  2026-11-23 05:42 UTC  compute  2 crash, 1 panic
"
        );
    }

    #[test]
    fn nothing_is_said_in_words() {
        let none = Quarantine {
            quarantined: Vec::new(),
        };
        assert_eq!(none.text(Paint::Plain), "nothing is in quarantine\n");
    }

    #[test]
    fn what_is_lifted_is_named() {
        let lifted = Lifted {
            lifted: vec![one("", &["foo@1"])],
        };
        assert_eq!(
            lifted.text(Paint::Plain),
            "abababababab foo@1 may be tried again\n"
        );
    }
}
