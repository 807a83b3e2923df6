//! Bounds on what is kept for all guests together: those that were not used for longest go first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::sums;

/// The most that is kept, in bytes.
const BYTES_MAX: u64 = 1 << 30;

/// The most guests.
const GUESTS_MAX: usize = 256;

struct Guest {
    dir: PathBuf,
    sums: PathBuf,
    used: SystemTime,
    bytes: u64,
}

/// Removes what is too much; never `present`.
pub(super) fn prune(root: &Path, present: &Path) -> io::Result<()> {
    prune_to(root, present, BYTES_MAX, GUESTS_MAX)
}

fn prune_to(root: &Path, present: &Path, bytes_max: u64, guests_max: usize) -> io::Result<()> {
    let mut guests = Vec::new();
    for entry in fs::read_dir(root)? {
        let dir = entry?.path();
        if dir.is_dir() {
            guests.push(look(dir)?);
        }
    }
    guests.sort_by_key(|guest| guest.used);
    let mut count = guests.len();
    let mut bytes = guests
        .iter()
        .fold(0, |sum, guest| guest.bytes.saturating_add(sum));
    for guest in guests.iter().filter(|guest| guest.dir != present) {
        if count <= guests_max && bytes <= bytes_max {
            return Ok(());
        }
        // The sums first: code without them is not used.
        let _ = fs::remove_file(&guest.sums);
        fs::remove_dir_all(&guest.dir)?;
        count = count.saturating_sub(1);
        bytes = bytes.saturating_sub(guest.bytes);
    }
    Ok(())
}

fn look(dir: PathBuf) -> io::Result<Guest> {
    let sums = dir.with_extension("sums");
    // One without sums was interrupted: it goes first.
    let used = fs::metadata(&sums).and_then(|found| found.modified());
    let mut bytes = 0_u64;
    for path in sums::code(&dir)? {
        bytes = bytes.saturating_add(fs::metadata(dir.join(path)).map_or(0, |found| found.len()));
    }
    Ok(Guest {
        used: used.unwrap_or(SystemTime::UNIX_EPOCH),
        dir,
        sums,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    fn guest(root: &Path, name: &str, age: u64) -> PathBuf {
        let dir = root.join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("code"), [0; 100]).unwrap();
        let sums = File::create(root.join(format!("{name}.sums"))).unwrap();
        let used = SystemTime::now() - Duration::from_secs(age);
        sums.set_modified(used).unwrap();
        dir
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_the_present_guest_never() {
        let root = tempfile::tempdir().unwrap();
        let [oldest, older, newest] =
            [("a", 300), ("b", 200), ("c", 100)].map(|(name, age)| guest(root.path(), name, age));
        prune_to(root.path(), &oldest, 1000, 2).unwrap();
        let left = [&oldest, &older, &newest].map(|dir| dir.exists());
        assert_eq!(left, [true, false, true]);
        assert!(!root.path().join("b.sums").exists());
        prune_to(root.path(), &newest, 100, 10).unwrap();
        assert_eq!((oldest.exists(), newest.exists()), (false, true));
    }
}
