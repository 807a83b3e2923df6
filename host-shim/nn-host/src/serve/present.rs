//! How many guests are at work, so that the end can wait for the last.

use tokio::sync::watch;

/// Counts those who are in.
#[derive(Debug)]
pub(super) struct Gate(watch::Sender<usize>);

/// One of them; out when dropped.
#[derive(Debug)]
pub(super) struct Present(watch::Sender<usize>);

// === impl Gate ===

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Gate {
    pub(super) fn enter(&self) -> Present {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        Present(self.0.clone())
    }

    /// Waits until nobody is in.
    pub(super) async fn empty(&self) {
        // An error says that nobody can leave any more; the gate itself is there.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_gate_is_empty_when_the_last_has_left() {
        let gate = Gate::default();
        let (one, two) = (gate.enter(), gate.enter());
        drop(one);
        let moment = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(moment, gate.empty()).await.is_err());
        drop(two);
        gate.empty().await;
    }
}
