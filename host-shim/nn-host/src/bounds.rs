//! What the memories and tables of one guest take together: a component may have many of each, and a bound for each
//! of them would bound nothing.

use wasmtime::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};

/// Instances, memories and tables of one guest.
const INSTANCES_MAX: usize = 128;

/// Elements of all tables.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// The bounds of one store, and how much of them is taken.
#[derive(Debug)]
pub(crate) struct Bounds {
    counts: StoreLimits,
    memory_bytes: Sum,
    table_elements: Sum,
}

/// Nothing is given back before the store is gone, as no memory shrinks.
#[derive(Debug)]
struct Sum {
    taken: usize,
    max: usize,
}

// === impl Bounds ===

impl Bounds {
    pub(crate) fn new(memory_max: usize) -> Self {
        let counts = StoreLimitsBuilder::new()
            .instances(INSTANCES_MAX)
            .tables(INSTANCES_MAX)
            .memories(INSTANCES_MAX)
            .build();
        Self {
            counts,
            memory_bytes: Sum::up_to(memory_max),
            table_elements: Sum::up_to(TABLE_ELEMENTS_MAX),
        }
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.memory_bytes.grow(current, desired, maximum))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table_elements.grow(current, desired, maximum))
    }

    fn instances(&self) -> usize {
        self.counts.instances()
    }

    fn tables(&self) -> usize {
        self.counts.tables()
    }

    fn memories(&self) -> usize {
        self.counts.memories()
    }
}

// === impl Sum ===

impl Sum {
    fn up_to(max: usize) -> Self {
        Self { taken: 0, max }
    }

    /// Whether one of those that are summed up may grow so. What cannot come to pass takes nothing.
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let taken = self.taken.saturating_add(desired.saturating_sub(current));
        let fits = taken <= self.max;
        if fits {
            self.taken = taken;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_memories_share_one_bound() {
        let mut bounds = Bounds::new(100);
        assert!(bounds.memory_growing(0, 60, None).unwrap());
        assert!(!bounds.memory_growing(0, 60, None).unwrap());
        assert!(bounds.memory_growing(0, 40, None).unwrap());
        assert!(!bounds.memory_growing(60, 61, None).unwrap());
    }

    #[test]
    fn growth_beyond_a_memorys_own_maximum_takes_nothing() {
        let mut bounds = Bounds::new(100);
        assert!(!bounds.memory_growing(0, 60, Some(50)).unwrap());
        assert!(bounds.memory_growing(0, 100, None).unwrap());
    }
}
