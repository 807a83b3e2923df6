//! `nnctl logs`: what the workers of one version have written, a line each, over their restarts; with `--follow` also
//! what they write from now on. It comes from processes that are assumed hostile: every line is escaped, by the daemon
//! and again here.

use nn_proto::v1;
use nn_tensor::ModelRef;
use serde::Serialize;

use crate::daemon::{Daemon, within};
use crate::failure::Failure;
use crate::output::{Output, Paint, Report, count, printable, stamp};

/// One line.
#[derive(Debug, Serialize)]
struct LineView {
    unix_us: u64,
    /// NAME@VERSION.
    model: String,
    /// As the daemon's own log numbers them.
    worker: u32,
    /// Lines before this one that are no longer kept.
    lost: u64,
    text: String,
}

/// Prints what comes, until the daemon has no more.
pub(crate) async fn run(
    daemon: &Daemon,
    model: &ModelRef,
    follow: bool,
    output: Output,
) -> Result<(), Failure> {
    let request = v1::LogsRequest {
        reference: model.to_string(),
        follow,
    };
    let mut admin = daemon.admin();
    let mut lines = within("logs", admin.logs(request)).await?.into_inner();
    loop {
        let next = lines.message();
        // Who follows waits for as long as nothing is written.
        let next = if follow {
            next.await?
        } else {
            within("logs", next).await?
        };
        let Some(line) = next else { return Ok(()) };
        output.line(&LineView::from(line))?;
    }
}

impl Report for LineView {
    /// `2026-11-23T05:42:07.123Z  worker 3  text`.
    fn text(&self, _: Paint) -> String {
        let when = stamp(self.unix_us);
        let (worker, text) = (self.worker, printable(&self.text));
        let line = format!("{when}  worker {worker}  {text}\n");
        match self.lost {
            0 => line,
            lost => format!(
                "{when}  -  {} before this no longer kept\n{line}",
                count(lost, "line")
            ),
        }
    }
}

impl From<v1::LogLine> for LineView {
    fn from(line: v1::LogLine) -> Self {
        Self {
            unix_us: line.unix_us,
            model: line.model,
            worker: line.worker,
            lost: line.lost,
            text: line.text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lost: u64) -> String {
        let line = v1::LogLine {
            unix_us: 1_795_412_520_123_000,
            worker: 3,
            text: "a\u{1b}[2J".to_owned(),
            lost,
            model: "foo@1".to_owned(),
        };
        LineView::from(line).text(Paint::Plain)
    }

    #[test]
    fn a_line_says_when_and_which_worker_and_cannot_steer_the_terminal() {
        let line = "2026-11-23T05:42:00.123Z  worker 3  a\\u{1b}[2J\n";
        assert_eq!(text(0), line);
    }

    #[test]
    fn what_is_no_longer_kept_is_told_where_it_was() {
        let told = "2026-11-23T05:42:00.123Z  -  2 lines before this no longer kept\n";
        assert!(text(2).starts_with(told), "{}", text(2));
    }
}
