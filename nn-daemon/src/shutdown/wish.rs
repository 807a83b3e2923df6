//! An operator's wish that the daemon end, and what they learn of it: `nnctl drain`.

use nn_tensor::{Code, Fault};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{CUT_OFF_TIMEOUT, SERVER_TIMEOUT};
use crate::limits::Limits;
use crate::peer::Peer;

/// The way from a client's wish to the end, and back.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    by: watch::Sender<Option<Peer>>,
    drained: watch::Sender<Option<Drained>>,
}

/// What became of the computes that were in flight when the end began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drained {
    pub(crate) in_flight: usize,
    pub(crate) cut_off: usize,
}

// === impl Wish ===

impl Wish {
    /// Has the daemon begin to end, unless it has.
    pub(crate) fn want(&self, by: Peer) {
        self.by.send_if_modified(|wanted| {
            let is_first = wanted.is_none();
            wanted.get_or_insert(by);
            is_first
        });
    }

    /// Returns once somebody has wished it: who.
    pub(crate) async fn wanted(&self) -> Peer {
        let mut by = self.by.subscribe();
        loop {
            let wanted = *by.borrow_and_update();
            if let Some(peer) = wanted {
                return peer;
            }
            // The sender lives in `self`.
            let _ = by.changed().await;
        }
    }

    /// Nothing is in flight any more.
    pub(super) fn tell(&self, drained: Drained) {
        self.drained.send_replace(Some(drained));
    }

    /// Waits for that, for as long as it may take.
    pub(crate) async fn drained(&self, limits: &Limits) -> Result<Drained, Fault> {
        let limit = limits.drain_max() + CUT_OFF_TIMEOUT + SERVER_TIMEOUT;
        let mut drained = self.drained.subscribe();
        // The sender lives in `self`.
        let told = timeout(limit, drained.wait_for(Option::is_some)).await;
        let told = told.ok().and_then(Result::ok).and_then(|told| *told);
        told.ok_or_else(|| {
            Fault::new(
                Code::Timeout,
                "nn-daemon is ending, and computes are still in flight",
            )
            .expected(format!("none after {limit:?}"))
            .hint("its log says more")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_wish_counts_and_everybody_learns_what_came_of_it() {
        let wish = Wish::default();
        let peer = |pid| Peer {
            pid,
            ..Peer::of_uid(7)
        };
        wish.want(peer(1));
        wish.want(peer(2));
        assert_eq!(wish.wanted().await.pid, 1);
        let drained = Drained {
            in_flight: 3,
            cut_off: 1,
        };
        wish.tell(drained);
        assert_eq!(wish.drained(&Limits::default()).await, Ok(drained));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_does_not_end_is_told_in_time() {
        let late = Wish::default().drained(&Limits::default()).await;
        assert_eq!(late.map_err(|fault| fault.code), Err(Code::Timeout));
    }
}
