//! `nnctl explain`: what a reason means, who can mend it and how. It asks no daemon.

mod page;

use nn_tensor::{Fault, Reason};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Paint, Report, Table, facts};

/// docs/errors.md.
pub(crate) use page::page;

/// One reason.
#[derive(Debug, Serialize)]
pub(crate) struct Explained {
    reason: &'static str,
    code: &'static str,
    stage: &'static str,
    mender: &'static str,
    what: &'static str,
    todo: &'static str,
}

/// One reason, or all of them.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    reasons: Vec<Explained>,
}

/// The row of a reason, or all rows; an id that is none is told the nearest.
pub(crate) fn run(id: Option<&str>) -> Result<Listed, Failure> {
    let Some(id) = id else {
        let reasons = Reason::ALL.iter().copied().map(Explained::of).collect();
        return Ok(Listed { reasons });
    };
    let found = Reason::of_id(id).map(Explained::of);
    let reasons = found.map(|found| vec![found]);
    reasons.map(|reasons| Listed { reasons }).ok_or_else(|| {
        let got: String = id.chars().take(64).collect();
        let fault = Fault::not_found("there is no such reason").got(got);
        Failure::from(match Reason::nearest_id(id) {
            Some(meant) => fault.hint(format!("did you mean {meant}?")),
            None => fault.hint("`nnctl explain` lists them all"),
        })
    })
}

// === impl Explained ===

impl Explained {
    fn of(reason: Reason) -> Self {
        let row = reason.row();
        Self {
            reason: row.id,
            code: row.code.name(),
            stage: row.stage.title(),
            mender: row.mender.title(),
            what: row.what,
            todo: row.todo,
        }
    }
}

// === impl Listed ===

impl Report for Listed {
    fn text(&self, paint: Paint) -> String {
        if let [one] = self.reasons.as_slice() {
            let said = [
                ("reason", one.reason),
                ("code", one.code),
                ("where", one.stage),
                ("what", one.what),
                ("mended by", one.mender),
                ("to do", one.todo),
            ];
            return facts(&said, paint);
        }
        let mut table = Table::new(&["REASON", "CODE", "WHAT HAPPENED"]);
        for row in &self.reasons {
            table.row([row.reason, row.code, row.what].map(str::to_owned));
        }
        table.render(paint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_reason_is_told_with_what_to_do() {
        let text = run(Some("input-dtype")).unwrap().text(Paint::Plain);
        let said = ["input-dtype", "guest author", "`nnctl describe NAME`"];
        assert!(said.iter().all(|said| text.contains(said)), "{text}");
    }

    #[test]
    fn without_an_id_every_reason_is_listed() {
        let text = run(None).unwrap().text(Paint::Plain);
        assert_eq!(text.lines().count(), Reason::ALL.len() + 1);
    }

    #[test]
    fn a_misspelt_reason_is_not_found_and_told_the_nearest() {
        let failure = run(Some("inptu-dtype")).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
        assert_eq!(failure.fault.hint, "did you mean input-dtype?");
    }
}
