//! What the program says: the only place that prints. Results go to stdout, as text or, with
//! `--json`, as one JSON value; talk and errors go to stderr; bars only to a terminal.

mod table;
mod time;
mod units;

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

pub(crate) use table::{Table, facts, printable};
pub(crate) use time::{stamp, utc};
pub(crate) use units::{bytes, count, micros};

use crate::failure::{Failure, parts};

/// Uploads below this are over before a bar would be read, in bytes.
const BAR_FROM_BYTES: u64 = 4 * 1024 * 1024;

/// What a command has found out.
pub(crate) trait Report: Serialize {
    /// The form for people: whole lines, each ended. What others have named is escaped.
    fn text(&self) -> String;
}

/// How to say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

/// An upload as it proceeds; draws nothing unless stderr is a terminal.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
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
            report.text()
        };
        Self::data(&text)
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
        let _ = write(io::stderr().lock(), &failure_text(failure));
    }

    /// Help, version or a complaint about the command line, as the parser wrote it.
    pub(crate) fn clap(error: &clap::Error) {
        let _ = error.print();
    }

    /// A bar for an upload of so many bytes.
    pub(crate) fn progress(total_bytes: u64) -> Progress {
        let target = if total_bytes < BAR_FROM_BYTES {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let template =
            "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}";
        let style = ProgressStyle::with_template(template);
        let bar = ProgressBar::with_draw_target(Some(total_bytes), target)
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar }
    }
}

// === impl Progress ===

impl Progress {
    /// Begins the next stretch of `total` bytes.
    pub(crate) fn stretch(&self, doing: &'static str) {
        self.bar.reset();
        self.bar.set_message(doing);
    }

    /// So many more bytes are done.
    pub(crate) fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// What is left has no measure.
    pub(crate) fn wait(&self, doing: &'static str) {
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            self.bar.set_style(style);
        }
        self.bar.set_message(doing);
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
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
fn failure_text(failure: &Failure) -> String {
    let fault = &failure.fault;
    let rest = parts(fault).map(|(label, text)| format!("  {label}: {}\n", printable(text)));
    format!(
        "error: {}\n{}",
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
            failure_text(&Failure::from(fault)),
            "error: input x does not fit the model\n  \
             expected: fp32 [?, 3]\n  got: fp32 [1, 4]\n  log id: 7f3a\n"
        );
    }

    #[test]
    fn an_error_cannot_steer_the_terminal() {
        let failure = Failure::from(Fault::not_found("no model \x1b]0;x\x07"));
        assert_eq!(
            failure_text(&failure),
            "error: no model \\u{1b}]0;x\\u{7}\n"
        );
    }
}
