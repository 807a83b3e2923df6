//! Counters under a name that others choose: a bounded number of names has some of its own, whoever comes beyond that
//! counts among the others. A name that nobody uses any more makes room for one that is used; what it had counted goes on
//! among the others, so that no sum ever falls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can be counted together.
pub(super) trait Fold: Default {
    /// Takes over what another has counted.
    fn fold(&self, other: &Self);
}

/// The counters of each name.
#[derive(Debug)]
pub(super) struct Book<K, C> {
    max: usize,
    kept: Mutex<BTreeMap<K, Arc<C>>>,
    others: Arc<C>,
}

impl<K: Ord + Clone, C: Fold> Book<K, C> {
    /// For at most so many names.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            kept: Mutex::default(),
            others: Arc::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<K, Arc<C>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of a name, its own or the others'. Whoever holds them keeps their place.
    pub(super) fn of(&self, key: &K) -> Arc<C> {
        let mut kept = self.kept();
        if let Some(known) = kept.get(key) {
            return Arc::clone(known);
        }
        if kept.len() >= self.max {
            let idle = kept.iter().find(|(_, of)| Arc::strong_count(of) == 1);
            let idle = idle.map(|(key, _)| key.clone());
            let Some(gone) = idle.and_then(|key| kept.remove(&key)) else {
                return Arc::clone(&self.others);
            };
            self.others.fold(&gone);
        }
        let new = Arc::<C>::default();
        kept.insert(key.clone(), Arc::clone(&new));
        new
    }

    /// The counters of a name that has some already; else the others'.
    pub(super) fn known(&self, key: &K) -> Arc<C> {
        let known = self.kept().get(key).map(Arc::clone);
        known.unwrap_or_else(|| Arc::clone(&self.others))
    }

    /// Those that are not any name's own.
    pub(super) fn others(&self) -> &Arc<C> {
        &self.others
    }

    /// Each name's own.
    pub(super) fn list(&self) -> Vec<(K, Arc<C>)> {
        let kept = self.kept();
        let each = kept.iter().map(|(key, of)| (key.clone(), Arc::clone(of)));
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    impl Fold for AtomicU64 {
        fn fold(&self, other: &Self) {
            self.fetch_add(other.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn book() -> Book<&'static str, AtomicU64> {
        Book::new(2)
    }

    fn count(of: &AtomicU64) {
        of.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn names_beyond_the_bound_count_among_the_others() {
        let book = book();
        let held = ["a", "b"].map(|name| book.of(&name));
        let third = book.of(&"c");
        assert!(Arc::ptr_eq(&third, book.others()));
        assert!(Arc::ptr_eq(&held[0], &book.of(&"a")));
        assert_eq!(book.list().len(), 2);
    }

    #[test]
    fn a_name_that_nobody_uses_gives_way_and_its_counts_stay() {
        let book = book();
        count(&book.of(&"a"));
        let _held = book.of(&"b");
        let third = book.of(&"c");
        assert!(!Arc::ptr_eq(&third, book.others()));
        assert_eq!(book.others().load(Ordering::Relaxed), 1);
        let names: Vec<&str> = book.list().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "c"]);
    }

    #[test]
    fn a_name_that_is_only_asked_about_takes_no_place() {
        let book = book();
        count(&book.known(&"a"));
        assert!(book.list().is_empty());
        assert_eq!(book.others().load(Ordering::Relaxed), 1);
    }
}
