//! Opening a file of a repository. Links within the repository are followed, as the trees of configuration managers
//! have them; what lies elsewhere is refused, whatever it is called. Judged is the file that was opened, not its name:
//! what happens to the name afterwards does not matter.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::park_timeout;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Whence, lseek};

/// Why a file of a repository is not read.
#[derive(Debug, thiserror::Error)]
pub enum NotBeneath {
    /// It cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It lies outside.
    #[error("{} leads out of the repository, to {}", path.display(), to.display())]
    Outside {
        /// Which.
        path: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// It is a directory, a pipe, a device …
    #[error("{} is no regular file", path.display())]
    Kind {
        /// Which.
        path: PathBuf,
    },
}

/// So long after a change a kernel before 6.13 may give another change the same time.
const CLOCK_STEP: Duration = Duration::from_millis(20);

/// Which file it is, and when it was changed last: who finds the same before and after reading has read one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    /// By the kernel's clock, which nobody else sets.
    changed: (i64, i64),
}

// === impl Stamp ===

impl Stamp {
    /// That of a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// That of an open file, from which on every change makes another.
    pub fn settled(file: &File) -> io::Result<Self> {
        Self::once_settled(|| file.metadata())
    }

    /// The same of whatever file a path leads to.
    pub fn settled_at(path: &Path) -> io::Result<Self> {
        Self::once_settled(|| fs::metadata(path))
    }

    fn once_settled(metadata: impl Fn() -> io::Result<Metadata>) -> io::Result<Self> {
        let stamp = Self::of(&metadata()?);
        if !stamp.is_fresh() {
            return Ok(stamp);
        }
        // Nobody wakes it; if somebody did, what was read would be refused at worst.
        park_timeout(CLOCK_STEP);
        metadata().map(|metadata| Self::of(&metadata))
    }

    /// Its length.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_fresh(&self) -> bool {
        let (secs, nanos) = self.changed;
        let since = u64::try_from(secs).ok().zip(u32::try_from(nanos).ok());
        let changed = since.and_then(|(secs, nanos)| {
            SystemTime::UNIX_EPOCH.checked_add(Duration::new(secs, nanos))
        });
        // Of the future: a clock was set back, and says nothing.
        changed.is_some_and(|changed| changed.elapsed().is_ok_and(|age| age < CLOCK_STEP))
    }
}

/// Waits for a write that is under way, and leaves the file at its beginning. A change has the time at which its write began,
/// so one that goes on could be older than a [`Stamp`] that does not show it. Looking for a hole takes the lock that a
/// write holds to its end, on the file systems that have holes.
pub fn after_writes(mut file: &File) -> io::Result<()> {
    match lseek(file, 0, Whence::SeekHole) {
        // Empty, or a file system without.
        Ok(_) | Err(Errno::ENXIO | Errno::EINVAL) => file.rewind(),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens the regular file at `path` for reading, if it lies in `root`.
pub fn open_beneath(root: &Path, path: &Path) -> Result<File, NotBeneath> {
    let failed = |source| NotBeneath::Open {
        path: path.to_owned(),
        source,
    };
    // Not to hang at a pipe, nor to be given a terminal.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(NotBeneath::Kind {
            path: path.to_owned(),
        });
    }
    let root = fs::canonicalize(root).map_err(failed)?;
    let to = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(failed)?;
    if to.starts_with(&root) {
        Ok(file)
    } else {
        Err(NotBeneath::Outside {
            path: path.to_owned(),
            to,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::{FileExt, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_link_within_the_repository_is_followed_and_one_out_of_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("repo"), dir.path().join("repo-secret"));
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("data"), "model").unwrap();
        fs::write(&outside, "secret").unwrap();
        symlink("data", inside.join("good")).unwrap();
        symlink("../repo-secret", inside.join("bad")).unwrap();

        let mut text = String::new();
        let good = open_beneath(&inside, &inside.join("good"));
        good.unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "model");
        let bad = open_beneath(&inside, &inside.join("bad"));
        assert!(matches!(bad, Err(NotBeneath::Outside { .. })), "{bad:?}");
    }

    #[test]
    fn whatever_is_done_to_a_file_its_stamp_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("data"), dir.path().join("other"));
        fs::write(&path, "model").unwrap();
        fs::write(&other, "model").unwrap();
        let file = File::open(&path).unwrap();
        let stamp = Stamp::settled(&file).unwrap();
        assert_eq!(Stamp::settled(&file).unwrap(), stamp);

        fs::write(&path, "lemod").unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        let rewritten = Stamp::settled(&file).unwrap();
        assert_ne!(rewritten, stamp);
        // As tools do that keep a file's time.
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        fs::write(&path, "model").unwrap();
        writer.set_modified(modified).unwrap();
        assert_ne!(Stamp::settled(&file).unwrap(), rewritten);

        fs::rename(&other, &path).unwrap();
        assert_ne!(
            Stamp::settled_at(&path).unwrap(),
            Stamp::settled(&file).unwrap()
        );
    }

    #[test]
    fn one_write_that_is_long_under_way_is_waited_for() {
        const BYTES: usize = 48 << 20;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        fs::write(&path, vec![0_u8; BYTES]).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let writer = OpenOptions::new().write(true).open(&path).unwrap();
                for fill in (0..=u8::MAX).cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    writer.write_all_at(&vec![fill; BYTES], 0).unwrap();
                    thread::sleep(3 * CLOCK_STEP);
                }
            });
            let mixed = || {
                let stamp = Stamp::settled_at(&path).unwrap();
                let mut file = File::open(&path).unwrap();
                after_writes(&file).unwrap();
                let mut bytes = Vec::with_capacity(BYTES);
                file.read_to_end(&mut bytes).unwrap();
                let is_taken = Stamp::of(&file.metadata().unwrap()) == stamp;
                is_taken && bytes.iter().any(|byte| *byte != bytes[0])
            };
            let mixed = (0..20).filter(|_| mixed()).count();
            stop.store(true, Ordering::Relaxed);
            assert_eq!(mixed, 0, "of two writes");
        });
    }

    #[test]
    fn a_pipe_and_a_directory_are_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [pipe.as_path(), dir.path()] {
            let refused = open_beneath(dir.path(), path);
            assert!(
                matches!(refused, Err(NotBeneath::Kind { .. })),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_repository_that_is_a_link_itself_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        fs::write(real.join("data"), "model").unwrap();
        symlink("real", &link).unwrap();
        assert!(open_beneath(&link, &link.join("data")).is_ok());
    }
}
