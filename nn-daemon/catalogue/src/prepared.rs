//! What was made of models so that they load faster: files in the state directory, which are a cache and nothing else. Each can go at any
//! moment, and is made again.
//!
//! ```text
//! STATE/prepared/MODEL-KEY-CONTENT      three SHA-256: of the model's bytes, of what else it was made for, of what is in it
//! ```
//!
//! A name tells all that is to be known of a file, so that there is no index that a crash could leave behind. It is written under a
//! temporary name, synced, and moved into place. Who reads it hashes it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::store::{failed, remove_all, replace};
use crate::{Digest, StoreError};

/// The most files: many small ones are many all the same.
const FILES_MAX: usize = 4096;

/// What one was made of, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PreparedKey {
    /// Of the model's bytes.
    pub model: Digest,
    /// Of everything else that it depends on: framework, machine, precision.
    pub made_for: Digest,
}

/// The files, within bounds: those that were of use least recently go first.
#[derive(Debug)]
pub struct PreparedStore {
    dir: PathBuf,
    bytes_max: u64,
    /// The least recently useful first.
    kept: Mutex<Vec<Kept>>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    key: PreparedKey,
    content: Digest,
    bytes: u64,
}

// === impl PreparedStore ===

impl PreparedStore {
    /// Opens the directory, making it if it is missing; what was not finished, what is no such file and what is beyond the bound
    /// goes.
    ///
    /// # Errors
    /// When it cannot be made, read or changed.
    pub fn open(state_dir: &Path, bytes_max: u64) -> Result<Self, StoreError> {
        let dir = state_dir.join("prepared");
        fs::create_dir_all(&dir).map_err(failed("make", &dir))?;
        remove_all(&dir, |name| Kept::named(name, 0).is_none())?;
        let mut found: Vec<(SystemTime, Kept)> = Vec::new();
        for entry in fs::read_dir(&dir).map_err(failed("read", &dir))? {
            let entry = entry.map_err(failed("read", &dir))?;
            let about = entry.metadata().map_err(failed("read", &dir))?;
            let name = entry.file_name();
            if let Some(kept) = name
                .to_str()
                .and_then(|name| Kept::named(name, about.len()))
            {
                let made = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((made, kept));
            }
        }
        found.sort_by_key(|(made, _)| *made);
        let store = Self {
            dir,
            bytes_max,
            kept: Mutex::new(found.into_iter().map(|(_, kept)| kept).collect()),
        };
        let mut kept = store.kept();
        store.make_room(&mut kept, 0)?;
        drop(kept);
        Ok(store)
    }

    /// Whether there is one for this.
    #[must_use]
    pub fn has(&self, key: &PreparedKey) -> bool {
        self.kept().iter().any(|kept| kept.key == *key)
    }

    /// The file for this, which has just been of use, what it must hash to, and its length; `None` where there is none.
    ///
    /// # Errors
    /// When it is there and cannot be opened.
    pub fn find(&self, key: &PreparedKey) -> Result<Option<(File, Digest, u64)>, StoreError> {
        let mut kept = self.kept();
        let Some(at) = kept.iter().position(|kept| kept.key == *key) else {
            return Ok(None);
        };
        let found = kept.remove(at);
        kept.push(found);
        let path = self.path(&found);
        let file = File::open(&path).map_err(failed("open", &path))?;
        Ok(Some((file, found.content, found.bytes)))
    }

    /// Keeps one, in place of another for the same; `false` where it is larger than all may be together.
    ///
    /// # Errors
    /// When it cannot be written, or others cannot be removed for it.
    pub fn keep(&self, key: PreparedKey, bytes: &[u8]) -> Result<bool, StoreError> {
        let new = Kept {
            key,
            content: Digest::of(bytes),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        };
        if new.bytes > self.bytes_max {
            return Ok(false);
        }
        let mut kept = self.kept();
        self.remove_where(&mut kept, |old| old.key == key)?;
        self.make_room(&mut kept, new.bytes)?;
        replace(&self.path(&new), bytes)?;
        kept.push(new);
        Ok(true)
    }

    /// Removes the one for this.
    ///
    /// # Errors
    /// When it is there and stays.
    pub fn remove(&self, key: &PreparedKey) -> Result<(), StoreError> {
        self.remove_where(&mut self.kept(), |kept| kept.key == *key)
    }

    /// Removes all that was made of a model.
    ///
    /// # Errors
    /// When one is there and stays.
    pub fn forget(&self, model: &Digest) -> Result<(), StoreError> {
        self.remove_where(&mut self.kept(), |kept| kept.key.model == *model)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kept().len()
    }

    /// How many bytes there are, all together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        bytes(&self.kept())
    }

    fn make_room(&self, kept: &mut Vec<Kept>, wanted: u64) -> Result<(), StoreError> {
        let is_full = |kept: &[Kept]| {
            let after = bytes(kept).saturating_add(wanted);
            !kept.is_empty() && (after > self.bytes_max || kept.len() >= FILES_MAX)
        };
        while is_full(kept) {
            let first = kept.first().map(|first| first.key);
            self.remove_where(kept, |old| Some(old.key) == first)?;
        }
        Ok(())
    }

    fn remove_where(
        &self,
        kept: &mut Vec<Kept>,
        is_to_go: impl Fn(&Kept) -> bool,
    ) -> Result<(), StoreError> {
        for gone in kept.iter().filter(|kept| is_to_go(kept)) {
            let path = self.path(gone);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path)(error));
                }
                _ => {}
            }
        }
        kept.retain(|kept| !is_to_go(kept));
        Ok(())
    }

    fn path(&self, kept: &Kept) -> PathBuf {
        let Kept { key, content, .. } = kept;
        let PreparedKey { model, made_for } = key;
        self.dir.join(format!("{model}-{made_for}-{content}"))
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(kept: &[Kept]) -> u64 {
    let each = kept.iter().map(|kept| kept.bytes);
    each.fold(0, u64::saturating_add)
}

// === impl Kept ===

impl Kept {
    /// By the name of its file; `None` where that is none of ours.
    fn named(name: &str, bytes: u64) -> Option<Self> {
        let mut parts = name.split('-').map(|part| part.parse::<Digest>().ok());
        let (model, made_for, content) = (parts.next()??, parts.next()??, parts.next()??);
        let key = PreparedKey { model, made_for };
        parts.next().is_none().then_some(Self {
            key,
            content,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const BYTES_MAX: u64 = 10;

    fn key(model: u8, made_for: u8) -> PreparedKey {
        PreparedKey {
            model: Digest([model; 32]),
            made_for: Digest([made_for; 32]),
        }
    }

    fn open(dir: &Path) -> PreparedStore {
        PreparedStore::open(dir, BYTES_MAX).unwrap()
    }

    fn read(store: &PreparedStore, key: &PreparedKey) -> Option<Vec<u8>> {
        let (mut file, content, bytes) = store.find(key).unwrap()?;
        let mut read = Vec::new();
        file.read_to_end(&mut read).unwrap();
        assert_eq!(Digest::of(&read), content);
        assert_eq!(u64::try_from(read.len()), Ok(bytes));
        Some(read)
    }

    #[test]
    fn what_was_kept_is_found_by_the_next_daemon_and_for_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(open(dir.path()).keep(key(1, 1), b"made").ok(), Some(true));
        let store = open(dir.path());
        assert_eq!(read(&store, &key(1, 1)).as_deref(), Some(&b"made"[..]));
        assert!(read(&store, &key(1, 2)).is_none());
        assert!(read(&store, &key(2, 1)).is_none());
    }

    #[test]
    fn one_for_the_same_takes_the_place_of_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.keep(key(1, 1), b"old").unwrap();
        store.keep(key(1, 1), b"new").unwrap();
        assert_eq!(read(&store, &key(1, 1)).as_deref(), Some(&b"new"[..]));
        assert_eq!(
            fs::read_dir(dir.path().join("prepared")).unwrap().count(),
            1
        );
    }

    #[test]
    fn the_least_recently_useful_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.keep(key(1, 1), b"11111").unwrap();
        store.keep(key(2, 1), b"22222").unwrap();
        assert!(read(&store, &key(1, 1)).is_some());
        store.keep(key(3, 1), b"33333").unwrap();
        assert!(!store.has(&key(2, 1)));
        assert!(store.has(&key(1, 1)) && store.has(&key(3, 1)));
        assert_eq!(store.bytes(), BYTES_MAX);
    }

    #[test]
    fn what_is_larger_than_all_may_be_is_not_kept_and_nothing_goes_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.keep(key(1, 1), b"1").unwrap();
        assert_eq!(store.keep(key(2, 1), &[0; 11]).ok(), Some(false));
        assert!(store.has(&key(1, 1)));
    }

    #[test]
    fn what_was_made_of_a_model_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.keep(key(1, 1), b"1").unwrap();
        store.keep(key(1, 2), b"2").unwrap();
        store.keep(key(2, 1), b"3").unwrap();
        store.forget(&Digest([1; 32])).unwrap();
        store.remove(&key(2, 2)).unwrap();
        assert_eq!(store.bytes(), 1);
        assert_eq!(open(dir.path()).bytes(), 1);
    }

    #[test]
    fn what_a_crash_left_and_what_is_none_of_ours_goes_with_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).keep(key(1, 1), b"1").unwrap();
        let folder = dir.path().join("prepared");
        fs::write(folder.join(".tmpX"), "half").unwrap();
        fs::write(folder.join("a-b-c"), "what").unwrap();
        assert_eq!(open(dir.path()).bytes(), 1);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn a_smaller_bound_counts_from_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).keep(key(1, 1), b"12345").unwrap();
        let store = PreparedStore::open(dir.path(), 4).unwrap();
        assert_eq!(store.bytes(), 0);
    }
}
