//! What the daemon counts, sent to an operator in parts of whole lines.

use std::sync::Arc;
use std::time::Duration;

use nn_proto::MESSAGE_BYTES_MAX;
use nn_proto::v1;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;

use crate::context::Context;
use crate::metrics::collect;

/// Parts that are sent ahead of what the client has read.
pub(super) const AHEAD_MAX: usize = 2;

/// How long a client may take nothing.
const TAKEN_MAX: Duration = Duration::from_secs(10);

/// The text of one part, with room for what goes around it.
const PART_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 2;

/// Sends all of it.
pub(super) async fn send(
    context: Arc<Context>,
    out: mpsc::Sender<Result<v1::MetricsPart, Status>>,
) {
    let text = collect(&context).await;
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(part_of(rest));
        let part = v1::MetricsPart { text: part.into() };
        let sent = timeout(TAKEN_MAX, out.send(Ok(part))).await;
        if !sent.is_ok_and(|sent| sent.is_ok()) {
            return;
        }
        rest = after;
    }
}

/// How much of a text is its first part: whole lines, at least one.
fn part_of(text: &str) -> usize {
    let fits = text.floor_char_boundary(PART_BYTES_MAX);
    let (head, tail) = text.split_at(fits);
    if tail.is_empty() {
        return fits;
    }
    let ends = head.rfind('\n').map(|at| at.saturating_add(1));
    let first = || text.find('\n').map(|at| at.saturating_add(1));
    ends.or_else(first).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_lines_and_together_the_text() {
        let line = format!("{}\n", "x".repeat(99));
        let text = line.repeat(1000);
        let mut rest = text.as_str();
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(part_of(rest));
            parts.push(part);
            rest = after;
        }
        assert_eq!(parts.concat(), text);
        assert!(parts.len() > 1);
        assert!(
            parts
                .iter()
                .all(|part| part.ends_with('\n') && part.len() <= PART_BYTES_MAX)
        );
    }
}
