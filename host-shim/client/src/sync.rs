//! Locks of plain data. Nothing is awaited while one is held, and a panic elsewhere leaves the data
//! as good as it was, so poison is no news.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, poisoned or not.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
