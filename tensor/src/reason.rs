//! For each way a session, a load or a compute can fail: its name, what it means, who can mend it and how. This is the
//! one table: faults carry its rows, docs/errors.md is written from it, `nnctl explain` prints it.

use std::fmt;

use crate::Code;
use crate::nearest::nearest;

mod table;

pub use table::Reason;

/// At which step a failure shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// On the way to the daemon, and at its door: connections, sessions, who may do what.
    Door,
    /// Finding a model by its name, and having it ready.
    Model,
    /// Taking a model's bytes in.
    Bytes,
    /// Looking at a model's bytes before any framework sees them (docs/vetting.md).
    Vetting,
    /// Inputs, outputs and what holds them.
    Tensors,
    /// Waiting for a place, and computing.
    Compute,
}

/// Who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mender {
    /// Who wrote the guest, or calls the daemon.
    Guest,
    /// Who made the model.
    Model,
    /// Who runs the daemon and the host.
    Operator,
    /// Time: the same call may succeed later.
    Time,
}

/// What is known of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The kebab-case name, which stays.
    pub id: &'static str,
    /// What programs act on.
    pub code: Code,
    /// Where it shows.
    pub stage: Stage,
    /// Who can mend it.
    pub mender: Mender,
    /// What happened, in a sentence.
    pub what: &'static str,
    /// What to do next.
    pub todo: &'static str,
}

// === impl Reason ===

impl Reason {
    /// The kebab-case name.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.row().id
    }

    /// What programs act on.
    #[must_use]
    pub const fn code(self) -> Code {
        self.row().code
    }

    /// The reason of this id; `None` where there is none, as in an answer of a later release.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.id() == id)
    }

    /// The id that was probably meant.
    #[must_use]
    pub fn nearest_id(id: &str) -> Option<&'static str> {
        nearest(Self::ALL.iter().map(|reason| reason.id()), id)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

// === impl Stage ===

impl Stage {
    /// Every stage, in the order in which a call meets them.
    pub const ALL: [Self; 6] = [
        Self::Door,
        Self::Model,
        Self::Bytes,
        Self::Vetting,
        Self::Tensors,
        Self::Compute,
    ];

    /// As a heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Door => "At the door",
            Self::Model => "A model by its name",
            Self::Bytes => "A model's bytes",
            Self::Vetting => "Vetting",
            Self::Tensors => "Tensors",
            Self::Compute => "Compute",
        }
    }
}

// === impl Mender ===

impl Mender {
    /// For people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Guest => "guest author",
            Self::Model => "model author",
            Self::Operator => "operator",
            Self::Time => "time",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rows() -> impl Iterator<Item = Row> {
        Reason::ALL.iter().map(|reason| reason.row())
    }

    #[test]
    fn every_reason_has_an_id_of_its_own_by_which_it_is_found() {
        let ids: BTreeSet<&str> = rows().map(|row| row.id).collect();
        assert_eq!(ids.len(), Reason::ALL.len());
        let found = Reason::ALL
            .iter()
            .filter(|r| Reason::of_id(r.id()) == Some(**r));
        assert_eq!(found.count(), Reason::ALL.len());
    }

    #[test]
    fn ids_are_kebab_case() {
        let odd = |id: &str| !id.bytes().all(|c| c.is_ascii_lowercase() || c == b'-');
        let odd: Vec<&str> = rows().map(|row| row.id).filter(|id| odd(id)).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }

    #[test]
    fn every_reason_says_what_happened_and_what_to_do_without_a_path_or_a_stop() {
        let odd =
            |text: &str| text.is_empty() || text.contains(['/', '\n', '|']) || text.ends_with('.');
        let odd: Vec<Row> = rows()
            .filter(|row| odd(row.what) || odd(row.todo))
            .collect();
        assert!(odd.is_empty(), "{odd:?}");
    }

    #[test]
    fn only_what_passes_by_itself_is_busy_or_leaving() {
        let passes = |row: &Row| matches!(row.code, Code::Busy | Code::Leaving);
        let others: Vec<Row> = rows()
            .filter(|row| row.mender == Mender::Time && !passes(row))
            .collect();
        let crashes = others.iter().filter(|row| row.code == Code::BackendCrashed);
        assert_eq!(crashes.count(), others.len(), "{others:?}");
    }

    #[test]
    fn a_misspelt_id_is_told_the_nearest() {
        assert_eq!(Reason::nearest_id("input-dytpe"), Some("input-dtype"));
        assert_eq!(Reason::of_id("input-dytpe"), None);
    }
}
