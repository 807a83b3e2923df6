//! Says when it is time: a thread that sleeps, because the executor's own timer wakes at whole milliseconds only, which is as
//! long as what is measured.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, channel};

/// Gives each time of a list when it has come since `begin`. The thread ends with the list, or when nobody listens any more.
pub(crate) fn start(begin: Instant, list: &[Duration]) -> io::Result<Receiver<Duration>> {
    let (sender, receiver) = channel(list.len().max(1));
    let list = list.to_vec();
    let pacing = move || {
        for at in list {
            thread::sleep((begin + at).saturating_duration_since(Instant::now()));
            // There is room for all of them.
            if sender.try_send(at).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("pacer".to_owned())
        .spawn(pacing)?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_time_is_told_once_and_none_too_early() {
        let list = [0, 1, 300, 300, 2500].map(Duration::from_micros);
        let begin = Instant::now();
        let mut times = start(begin, &list).unwrap();
        let mut told = Vec::new();
        while let Some(at) = times.recv().await {
            assert!(begin.elapsed() >= at);
            told.push(at);
        }
        assert_eq!(told, list);
    }
}
