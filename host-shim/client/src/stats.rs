//! What a client counts, over all its sessions: the two copies per inference can be proven by it, and
//! that nothing stays behind.

use std::sync::atomic::{AtomicU64, Ordering};

/// A reading of a client's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stats {
    /// Times that tensor bytes were copied, either way.
    pub copies: u64,
    /// Bytes copied into shared memory.
    pub bytes_copied_in: u64,
    /// Bytes copied out of shared memory.
    pub bytes_copied_out: u64,
    /// Input slots in use at this moment.
    pub in_slots: u64,
    /// Output slots held at this moment.
    pub out_slots: u64,
    /// Computes whose answer has not come at this moment.
    pub in_flight: u64,
    /// Sessions opened so far.
    pub sessions: u64,
    /// Times the daemon was asked to resolve a name.
    pub resolves: u64,
    /// Times the daemon was asked for a model by its bytes' digest.
    pub loads: u64,
    /// Times the bytes themselves had to be sent.
    pub uploads: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    copies: AtomicU64,
    bytes_copied_in: AtomicU64,
    bytes_copied_out: AtomicU64,
    in_slots: AtomicU64,
    out_slots: AtomicU64,
    in_flight: AtomicU64,
    sessions: AtomicU64,
    resolves: AtomicU64,
    loads: AtomicU64,
    uploads: AtomicU64,
}

/// One more of a gauge for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Counted {
    counters: std::sync::Arc<Counters>,
    gauge: Gauge,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Gauge {
    InSlots,
    OutSlots,
    InFlight,
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

// === impl Counters ===

impl Counters {
    pub(crate) fn copied_in(&self, bytes: usize) {
        self.copies.fetch_add(1, Ordering::Relaxed);
        self.bytes_copied_in
            .fetch_add(wide(bytes), Ordering::Relaxed);
    }

    pub(crate) fn copied_out(&self, bytes: usize) {
        self.copies.fetch_add(1, Ordering::Relaxed);
        self.bytes_copied_out
            .fetch_add(wide(bytes), Ordering::Relaxed);
    }

    pub(crate) fn session_opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn resolved(&self) {
        self.resolves.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn loaded(&self) {
        self.loads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn uploaded(&self) {
        self.uploads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(self: &std::sync::Arc<Self>, gauge: Gauge) -> Counted {
        self.gauge(gauge).fetch_add(1, Ordering::Relaxed);
        Counted {
            counters: std::sync::Arc::clone(self),
            gauge,
        }
    }

    pub(crate) fn read(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            copies: get(&self.copies),
            bytes_copied_in: get(&self.bytes_copied_in),
            bytes_copied_out: get(&self.bytes_copied_out),
            in_slots: get(&self.in_slots),
            out_slots: get(&self.out_slots),
            in_flight: get(&self.in_flight),
            sessions: get(&self.sessions),
            resolves: get(&self.resolves),
            loads: get(&self.loads),
            uploads: get(&self.uploads),
        }
    }

    fn gauge(&self, gauge: Gauge) -> &AtomicU64 {
        match gauge {
            Gauge::InSlots => &self.in_slots,
            Gauge::OutSlots => &self.out_slots,
            Gauge::InFlight => &self.in_flight,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counters
            .gauge(self.gauge)
            .fetch_sub(1, Ordering::Relaxed);
    }
}
