//! What the program says: the only place that prints. Results go to stdout, as text or, with
//! `--json`, as one JSON value; talk and errors go to stderr; bars and colours only to a terminal.

mod paint;
mod progress;
mod table;
mod time;
mod units;

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

pub(crate) use paint::Paint;
pub(crate) use progress::{Phase, Progress};
pub(crate) use table::{Table, facts, printable};
pub(crate) use time::{stamp, utc};
pub(crate) use units::{bytes, count, micros};

use crate::failure::{Failure, parts};

/// What a command has found out.
pub(crate) trait Report: Serialize {
    /// The form for people: whole lines, each ended. What others have named is escaped.
    fn text(&self, paint: Paint) -> String;
}

/// How to say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

// === impl Output ===

impl Output {
    /// Text, or JSON.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// A result, to stdout. Fails where stdout cannot take it; a reader that has gone is no failure.
    pub(crate) fn report(self, report: &impl Report) -> Result<(), Failure> {
        let text = if self.json {
            json_line(report)
        } else {
            report.text(self.paint())
        };
        Self::data(&text)
    }

    /// One of many results, which are read as they come: a line of text, or of JSON.
    pub(crate) fn line(self, line: &impl Report) -> Result<(), Failure> {
        if !self.json {
            return self.report(line);
        }
        let mut json = serde_json::to_string(line).unwrap_or_default();
        json.push('\n');
        Self::data(&json)
    }

    /// The colours of stdout.
    fn paint(self) -> Paint {
        if self.json {
            Paint::Plain
        } else {
            paint_on(io::stdout().is_terminal())
        }
    }

    /// Text that is a result as it stands, to stdout. Fails as [`Output::report`] does.
    pub(crate) fn data(text: &str) -> Result<(), Failure> {
        match write(io::stdout().lock(), text) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::file("write to", "stdout".as_ref(), &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A failure: text to stderr, and with `--json` an object to stdout. That it cannot be written
    /// can be told nobody.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            let _ = write(io::stdout().lock(), &json_line(&failure.view()));
        }
        let paint = paint_on(io::stderr().is_terminal());
        let _ = write(io::stderr().lock(), &failure_text(failure, paint));
    }

    /// Help, version or a complaint about the command line, as the parser wrote it.
    pub(crate) fn clap(error: &clap::Error) {
        let _ = error.print();
    }

    /// A line for a load of so many bytes.
    pub(crate) fn progress(bytes: u64) -> Progress {
        Progress::new(bytes)
    }
}

fn paint_on(terminal: bool) -> Paint {
    let of = |name| std::env::var_os(name);
    let (no_color, term) = (of("NO_COLOR"), of("TERM"));
    Paint::of(paint::Wish {
        terminal,
        no_color: no_color.as_deref(),
        term: term.as_deref(),
    })
}

fn write(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// Our reports are structs of text and numbers: they always have a JSON form.
fn json_line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string_pretty(value).unwrap_or_default();
    line.push('\n');
    line
}

/// `error: …`, then the parts that are there.
fn failure_text(failure: &Failure, paint: Paint) -> String {
    let fault = &failure.fault;
    let rest = parts(fault).map(|(label, text)| format!("  {label}: {}\n", printable(text)));
    format!(
        "{}: {}\n{}",
        paint.word("error"),
        printable(&fault.message),
        rest.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use nn_tensor::Fault;

    use super::*;

    #[test]
    fn an_error_has_a_line_for_each_part_that_is_there() {
        let fault = Fault::invalid_argument("input x does not fit the model")
            .expected("fp32 [?, 3]")
            .got("fp32 [1, 4]")
            .log_id("7f3a");
        assert_eq!(
            failure_text(&Failure::from(fault), Paint::Plain),
            "error: input x does not fit the model\n  \
             expected: fp32 [?, 3]\n  got: fp32 [1, 4]\n  log id: 7f3a\n"
        );
    }

    #[test]
    fn an_error_cannot_steer_the_terminal() {
        let failure = Failure::from(Fault::not_found("no model \x1b]0;x\x07"));
        assert_eq!(
            failure_text(&failure, Paint::Plain),
            "error: no model \\u{1b}]0;x\\u{7}\n"
        );
    }
}
