//! What a model's workers have written, sent to an operator as it is known, and then as it is written.

use std::sync::Arc;
use std::time::Duration;

use nn_proto::v1;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;

use crate::context::Context;
use crate::model::Model;

/// Lines that are sent ahead of what the client has read.
pub(super) const AHEAD_MAX: usize = 64;

/// How long a client may take nothing.
const TAKEN_MAX: Duration = Duration::from_secs(10);

/// Sends until all is sent; or, for one who follows, until the version is unloaded or the daemon ends.
pub(super) async fn send(
    context: Arc<Context>,
    model: Arc<Model>,
    follow: bool,
    out: mpsc::Sender<Result<v1::LogLine, Status>>,
) {
    let (id, tail, mut unload) = (model.id(), Arc::clone(&model.log), model.unload.subscribe());
    // Who reads what it has said keeps no model in memory.
    drop(model);
    let (mut news, mut draining) = (tail.news(), context.draining.clone());
    let mut is_last = !follow;
    let mut told = 0;
    loop {
        news.mark_unchanged();
        let (mut lost, lines) = tail.after(told);
        for line in lines {
            told = line.number;
            let line = v1::LogLine {
                unix_us: line.unix_us,
                worker: line.worker,
                text: line.text.to_string(),
                lost: std::mem::take(&mut lost),
                model: id.clone(),
            };
            let sent = timeout(TAKEN_MAX, out.send(Ok(line))).await;
            if !sent.is_ok_and(|sent| sent.is_ok()) {
                return;
            }
        }
        if is_last {
            return;
        }
        tokio::select! {
            // The sender lives in the tail.
            _ = news.changed() => {}
            () = out.closed() => return,
            // What was written before that is still sent.
            _ = unload.wait_for(|unload| *unload) => is_last = true,
            _ = draining.wait_for(|draining| *draining) => is_last = true,
        }
    }
}
