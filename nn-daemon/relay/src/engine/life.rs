//! What is known of a connection while it lives: shared by those who drive it, read it and call on it.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// Of one connection.
#[derive(Debug, Default)]
pub struct Life {
    is_over: Cell<bool>,
    in_flight: Cell<u32>,
    /// Since when calls wait and nothing was heard; `None` where none waits.
    waits: Cell<Option<Instant>>,
    /// Questions since something was heard.
    pings: Cell<u32>,
    /// Bytes since something was heard, or a call began.
    unheard: Cell<u64>,
}

/// A call that is under way.
#[derive(Debug)]
pub(super) struct InFlight<'a>(&'a Life);

// === impl Life ===

impl Life {
    /// Whether no call can be made any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// No call can be made any more.
    pub(super) fn end(&self) {
        self.is_over.set(true);
    }

    /// Whether calls have waited so long and heard nothing.
    pub(super) fn is_doubtful(&self, patience: Duration) -> bool {
        let waits = self.waits.get();
        waits.is_some_and(|since| since.elapsed() >= patience)
    }

    /// A call begins.
    pub(super) fn begin(&self) -> InFlight<'_> {
        self.in_flight.set(self.in_flight.get().saturating_add(1));
        self.unheard.set(0);
        if self.waits.get().is_none() {
            self.waits.set(Some(Instant::now()));
        }
        InFlight(self)
    }

    /// A call has heard something.
    pub(super) fn heard(&self) {
        self.pings.set(0);
        self.unheard.set(0);
        self.waits
            .set((self.in_flight.get() > 0).then(Instant::now));
    }

    /// So many bytes have come. Gives how many have since a call heard something.
    pub(super) fn comes(&self, bytes: u64) -> u64 {
        let unheard = self.unheard.get().saturating_add(bytes);
        self.unheard.set(unheard);
        unheard
    }

    /// Whether the endpoint is to be asked if it is there; not more often than that with nothing heard between.
    pub(super) fn asks(&self, most: u32) -> bool {
        let asked = self.pings.get();
        let asks = self.in_flight.get() > 0 && asked < most;
        if asks {
            self.pings.set(asked.saturating_add(1));
        }
        asks
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let life = self.0;
        life.in_flight.set(life.in_flight.get().saturating_sub(1));
        if life.in_flight.get() == 0 {
            life.waits.set(None);
        }
    }
}
