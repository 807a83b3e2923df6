//! What a worker has of the machine's memory, as the kernel accounts for it (`/proc/PID/smaps_rollup`, which its spawner has
//! opened). Asking has the kernel go through all its pages: not for the thread that serves.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Worker;

/// In bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What no other process has too: what its end gives back.
    pub(crate) own: u64,
    /// Its part of what others have too: libraries, arenas.
    pub(crate) shared: u64,
}

/// What was measured last.
#[derive(Debug, Default)]
pub(super) struct Measured {
    own: AtomicU64,
    all: AtomicU64,
}

// === impl Memory ===

impl Memory {
    /// Of the words of `smaps_rollup`; `None` where they say nothing.
    pub(super) fn of_rollup(text: &str) -> Option<Self> {
        let all = field(text, "Pss:")?;
        let own = field(text, "Private_Clean:")?.saturating_add(field(text, "Private_Dirty:")?);
        Some(Self {
            own: own.min(all),
            shared: all.saturating_sub(own),
        })
    }

    /// Of those of `status`, which tell less: what may be shared counts whole.
    pub(super) fn of_status(text: &str) -> Option<Self> {
        let own = field(text, "RssAnon:")?;
        let shared = field(text, "RssFile:")?.saturating_add(field(text, "RssShmem:")?);
        Some(Self { own, shared })
    }

    /// All of it.
    pub(crate) fn all(self) -> u64 {
        self.own.saturating_add(self.shared)
    }
}

/// The number of a line, in bytes.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

// === impl Measured ===

impl Measured {
    pub(super) fn set(&self, memory: Memory) {
        self.own.store(memory.own, Ordering::Relaxed);
        self.all.store(memory.all(), Ordering::Relaxed);
    }

    pub(super) fn own(&self) -> u64 {
        self.own.load(Ordering::Relaxed)
    }

    /// 0 until something was measured.
    pub(super) fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

// === impl Worker ===

impl Worker {
    /// What it has of the machine's memory, arenas and shared code included; 0 where that cannot be learnt.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.spawner.resident_bytes(self.id)
    }

    /// Measures what it has of the machine's memory; `None` where that cannot be learnt. Not for the thread that serves.
    pub(crate) fn measure(&self) -> Option<Memory> {
        let memory = self.spawner.measure(self.id)?;
        self.measured.set(memory);
        Some(memory)
    }

    /// What it had of its own when it was measured last, in bytes.
    pub(crate) fn own_bytes(&self) -> u64 {
        self.measured.own()
    }

    /// What it had when it was measured last, its part of what it shares included, in bytes; before that, what shares
    /// included it has now.
    pub(crate) fn memory_bytes(&self) -> u64 {
        match self.measured.all() {
            0 => self.resident_bytes(),
            measured => measured,
        }
    }

    /// The same as it was measured last; 0 before that.
    pub(crate) fn measured_bytes(&self) -> u64 {
        self.measured.all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "\
55d0c0000000-7ffd0e1f2000 ---p 00000000 00:00 0                          [rollup]
Rss:               40000 kB
Pss:               20000 kB
Pss_Dirty:         11000 kB
Private_Clean:      1000 kB
Private_Dirty:      9000 kB
";

    #[test]
    fn what_no_other_process_has_is_its_own_and_the_rest_is_its_part() {
        let memory = Memory::of_rollup(ROLLUP).unwrap();
        assert_eq!((memory.own, memory.shared), (10_000 << 10, 10_000 << 10));
        assert_eq!(memory.all(), 20_000 << 10);
        assert_eq!(Memory::of_rollup(""), None);
        assert_eq!(Memory::of_rollup("Pss: many kB"), None);
    }

    #[test]
    fn where_only_the_status_can_be_read_what_may_be_shared_counts_whole() {
        let text = "VmRSS:\t 9 kB\nRssAnon:\t 4 kB\nRssFile:\t 3 kB\nRssShmem:\t 2 kB\n";
        let memory = Memory::of_status(text).unwrap();
        assert_eq!((memory.own, memory.all()), (4 << 10, 9 << 10));
    }
}
