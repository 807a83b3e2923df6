//! docs/errors.md: the table of reasons as a page. Pure.

use nn_tensor::{Code, Reason, Row, Stage};

const HEAD: &str = "\
# Errors

Written by `nnctl explain --markdown` from the table in `tensor/src/reason/table.rs`; a test of nnctl keeps it in step, and
writes it anew when it is not.

Whatever fails says what happened, what was expected, what came, and what to do; and it names one of the reasons below, which
stay what they are. A component reads all of it in the error's `data`; a core module gets an errno, and `nn-host -vv` logs the
rest. `nnctl --json` has the parts as keys ([JSON](json.md#fault)), `nn_guest::Failure::reason` gives the reason to a guest.

Where a framework has spoken, the message carries a **log id**: its own words are in the daemon's log on the line with that id,
and nowhere else.

## Codes

| code | a component's `error-code` | a core module's errno |
|---|---|---|
";

/// What stands over a stage's table.
const COLUMNS: &str = "\
| reason | code | what happened | who can mend it | what to do |
|---|---|---|---|---|
";

/// The page.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    page.extend(Code::ALL.map(code));
    for stage in Stage::ALL {
        page.push_str(&format!("\n## {}\n\n{COLUMNS}", stage.title()));
        let rows = Reason::ALL.iter().map(|reason| reason.row());
        page.extend(rows.filter(|row| row.stage == stage).map(|row| line(&row)));
    }
    page
}

fn line(row: &Row) -> String {
    let mender = row.mender.title();
    format!(
        "| `{}` | `{}` | {} | {mender} | {} |\n",
        row.id, row.code, row.what, row.todo
    )
}

/// What guests see of a code, as the host tells components and core modules of today's numbering.
fn code(code: Code) -> String {
    let (component, module) = match code {
        Code::InvalidArgument => ("invalid-argument", "1 invalid_argument"),
        Code::InvalidEncoding => ("invalid-encoding", "2 invalid_encoding"),
        Code::Timeout => ("timeout", "5 runtime_error"),
        Code::RuntimeError => ("runtime-error", "5 runtime_error"),
        Code::UnsupportedOperation => ("unsupported-operation", "6 unsupported_operation"),
        Code::TooLarge => ("too-large", "7 too_large"),
        Code::NotFound => ("not-found", "8 not_found"),
        Code::Security => ("security", "8 not_found"),
        Code::Unknown => ("unknown", "5 runtime_error"),
        Code::Busy => ("runtime-error", "4 busy"),
        Code::BackendCrashed => ("runtime-error", "5 runtime_error"),
        Code::Leaving => ("runtime-error", "4 busy"),
    };
    format!("| `{code}` | `{component}` | {module} |\n")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_in_docs_is_what_the_table_says() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
        let found = fs::read_to_string(&file).unwrap_or_default();
        if found == page() {
            return;
        }
        fs::write(&file, page()).unwrap();
        panic!("docs/errors.md was stale and has been written anew: look at the difference");
    }

    #[test]
    fn every_reason_stands_in_the_page_once() {
        let page = page();
        let lines = |reason: &&Reason| page.matches(&format!("| `{}` |", reason.id())).count();
        let odd: Vec<_> = Reason::ALL
            .iter()
            .filter(|reason| lines(reason) != 1)
            .collect();
        assert!(odd.is_empty(), "{odd:?}");
    }
}
