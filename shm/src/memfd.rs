//! Anonymous memory by descriptor: create, size, seal; and, on the receiving side, check again that
//! it is what it is said to be before a byte of it is mapped. No names, nothing in any file system.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Whence, ftruncate, lseek, write};

use crate::Mapping;

/// `MFD_NOEXEC_SEAL` of linux/memfd.h (Linux 6.3): the memory can never be executed as a file.
const NOEXEC_SEAL: MFdFlags = MFdFlags::from_bits_retain(0x8);

/// `MFD_EXEC` of linux/memfd.h (Linux 6.3): the memory may be executed as a file.
const EXEC: MFdFlags = MFdFlags::from_bits_retain(0x10);

/// How long it is waited before each further attempt at a seal that the kernel is too busy for, in milliseconds: 0.1 s in
/// all, besides what the kernel itself waits (0.15 s an attempt, of Linux 6.18).
const SEAL_PAUSES_MS: [u64; 5] = [1, 4, 15, 30, 50];

const SIZE_SEALS: SealFlag = SealFlag::F_SEAL_GROW.union(SealFlag::F_SEAL_SHRINK);
const WRITER_SEALS: SealFlag = SealFlag::F_SEAL_FUTURE_WRITE.union(SealFlag::F_SEAL_SEAL);
const BLOB_SEALS: SealFlag = SIZE_SEALS
    .union(SealFlag::F_SEAL_WRITE)
    .union(SealFlag::F_SEAL_SEAL);

/// Why memory could not be made or was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ShmError {
    /// The kernel refused.
    #[error("{call} failed")]
    System {
        /// The system call.
        call: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A descriptor came that is no memfd, or has not the size or the seals it must have.
    #[error("refused a descriptor as {role}: expected {expected}, got {got}")]
    Unfit {
        /// What it was to be.
        role: &'static str,
        /// What that takes.
        expected: String,
        /// What came.
        got: String,
    },
    /// A place outside the memory.
    #[error("bytes {offset}+{len} lie outside a mapping of {size}")]
    Bounds {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
        /// Bytes that are there.
        size: u64,
    },
    /// Writing through a mapping that is for reading.
    #[error("a read-only mapping cannot be written")]
    ReadOnly,
}

/// One piece of an arena: a memfd of fixed size, shared between one writer and its readers.
#[derive(Debug)]
pub struct Segment {
    fd: OwnedFd,
    bytes: u64,
}

/// Bytes that nobody can change any more: a model on its way to workers, or the code that they are made of.
#[derive(Debug)]
pub struct Blob {
    fd: OwnedFd,
    bytes: u64,
}

/// A blob on its way: bytes are written to it one after another, then it is sealed. Dropped, it is gone.
#[derive(Debug)]
pub struct BlobDraft {
    file: File,
    bytes: u64,
}

fn system(call: &'static str) -> impl FnOnce(nix::Error) -> ShmError {
    move |errno| ShmError::System {
        call,
        source: errno.into(),
    }
}

fn create(name: &CStr, bytes: u64, exec: MFdFlags) -> Result<OwnedFd, ShmError> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = match memfd_create(name, flags | exec) {
        // Kernels before 6.3 do not know the flag.
        Err(nix::Error::EINVAL) => memfd_create(name, flags),
        other => other,
    }
    .map_err(system("memfd_create"))?;
    let size = i64::try_from(bytes).map_err(|_| system("ftruncate")(nix::Error::EFBIG))?;
    ftruncate(&fd, size).map_err(system("ftruncate"))?;
    Ok(fd)
}

/// `F_SEAL_WRITE` fails with EBUSY while anybody else holds a page of the memory, be it the kernel itself for a moment
/// (pages under way to its lists, or being moved): then it is tried again a few times. What holds a page for longer, a
/// writable mapping, is an error all the same.
fn add_seals(fd: BorrowedFd<'_>, seals: SealFlag) -> Result<(), ShmError> {
    let attempt = || fcntl(fd, FcntlArg::F_ADD_SEALS(seals)).map(drop);
    let mut sealed = attempt();
    for pause_ms in SEAL_PAUSES_MS {
        if sealed != Err(nix::Error::EBUSY) {
            break;
        }
        // Not by a sleep: every jail has this call, and some have no other that waits.
        thread::park_timeout(Duration::from_millis(pause_ms));
        sealed = attempt();
    }
    sealed.map_err(system("fcntl(F_ADD_SEALS)"))
}

/// F_GET_SEALS succeeds on memfds only, so it also keeps out pipes, devices, FUSE files and whatever else
/// could stall or kill a reader.
fn check(
    fd: BorrowedFd<'_>,
    bytes: u64,
    seals: SealFlag,
    role: &'static str,
) -> Result<(), ShmError> {
    let unfit = |got: String| ShmError::Unfit {
        role,
        expected: format!("a memfd of {bytes} bytes sealed with {:#x}", seals.bits()),
        got,
    };
    let got_seals = fcntl(fd, FcntlArg::F_GET_SEALS).map_err(|_| unfit("no memfd".into()))?;
    if !SealFlag::from_bits_retain(got_seals).contains(seals) {
        return Err(unfit(format!("seals {got_seals:#x}")));
    }
    // Not by fstat, which the C library makes into a call that takes a path: a jailed reader has none of those.
    let size = lseek(fd, 0, Whence::SeekEnd).map_err(system("lseek"))?;
    if u64::try_from(size) != Ok(bytes) {
        return Err(unfit(format!("{size} bytes")));
    }
    Ok(())
}

// === impl Segment ===

impl Segment {
    /// Makes a segment of `bytes` zero bytes that can neither grow nor shrink.
    pub fn create(bytes: u64) -> Result<Self, ShmError> {
        let fd = create(c"nn-arena", bytes, NOEXEC_SEAL)?;
        add_seals(fd.as_fd(), SIZE_SEALS)?;
        Ok(Self { fd, bytes })
    }

    /// Takes a descriptor to write through; fails unless it is a memfd of that size that cannot be
    /// resized.
    pub fn for_writer(fd: OwnedFd, bytes: u64) -> Result<Self, ShmError> {
        check(fd.as_fd(), bytes, SIZE_SEALS, "a segment to write")?;
        Ok(Self { fd, bytes })
    }

    /// Takes a descriptor to read through; fails unless it also is sealed against new writers.
    pub fn for_reader(fd: OwnedFd, bytes: u64) -> Result<Self, ShmError> {
        check(
            fd.as_fd(),
            bytes,
            SIZE_SEALS | WRITER_SEALS,
            "a segment to read",
        )?;
        Ok(Self { fd, bytes })
    }

    /// Seals the segment: mappings that exist stay writable, no new one can be, and no further seal
    /// can be added. Called once the writer has mapped it, before any reader gets it.
    pub fn seal_writers(&self) -> Result<(), ShmError> {
        add_seals(self.fd.as_fd(), WRITER_SEALS)
    }

    /// Writes bytes without mapping them, for who has only to put something there; before it is sealed.
    pub fn write_at(&self, offset: u64, mut bytes: &[u8]) -> Result<(), ShmError> {
        let at = i64::try_from(offset).map_err(|_| system("lseek")(nix::Error::EFBIG))?;
        lseek(&self.fd, at, Whence::SeekSet).map_err(system("lseek"))?;
        while !bytes.is_empty() {
            let written = write(&self.fd, bytes).map_err(system("write"))?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Maps it for its single writer.
    pub fn map_writer(&self) -> Result<Mapping, ShmError> {
        Mapping::read_write(self.fd.as_fd(), self.bytes)
    }

    /// Maps it for a reader.
    pub fn map_reader(&self) -> Result<Mapping, ShmError> {
        Mapping::read_only(self.fd.as_fd(), self.bytes)
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

// === impl BlobDraft ===

impl BlobDraft {
    /// Room for `bytes` bytes of a model; memory is taken as they are written.
    pub fn new(bytes: u64) -> Result<Self, ShmError> {
        Self::named(c"nn-model", bytes, NOEXEC_SEAL)
    }

    /// The same for a program, which can be executed by its descriptor.
    pub fn program(bytes: u64) -> Result<Self, ShmError> {
        Self::named(c"nn-program", bytes, EXEC)
    }

    /// The same for a library. It can be mapped as code, but not executed as a program.
    pub fn library(bytes: u64) -> Result<Self, ShmError> {
        Self::named(c"nn-library", bytes, NOEXEC_SEAL)
    }

    fn named(name: &CStr, bytes: u64, exec: MFdFlags) -> Result<Self, ShmError> {
        let file = File::from(create(name, bytes, exec)?);
        Ok(Self { file, bytes })
    }

    /// The file to write to, for who copies from another one without looking at the bytes.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Seals what somebody else has written, of whatever size; fails while they can still write to it.
    pub fn seal_as_found(self) -> Result<Blob, ShmError> {
        let fd = OwnedFd::from(self.file);
        add_seals(fd.as_fd(), BLOB_SEALS)?;
        let size = lseek(&fd, 0, Whence::SeekEnd).map_err(system("lseek"))?;
        let bytes = u64::try_from(size).unwrap_or_default();
        Blob::from_fd(fd, bytes)
    }

    /// Seals what was written against everything; fails when that changed the size.
    pub fn seal(self) -> Result<Blob, ShmError> {
        let fd = OwnedFd::from(self.file);
        add_seals(fd.as_fd(), BLOB_SEALS)?;
        Blob::from_fd(fd, self.bytes)
    }
}

impl io::Write for BlobDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

// === impl Blob ===

impl Blob {
    /// Makes a blob of exactly `bytes` bytes by letting `fill` write them to a file, then seals it
    /// against everything. Fails when `fill` does, or when it changed the size.
    pub fn create(
        bytes: u64,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<Self, ShmError> {
        let mut draft = BlobDraft::new(bytes)?;
        fill(&mut draft.file).map_err(|source| ShmError::System {
            call: "write",
            source,
        })?;
        draft.seal()
    }

    /// Takes a descriptor; fails unless it is a memfd of that size that nobody can change.
    pub fn from_fd(fd: OwnedFd, bytes: u64) -> Result<Self, ShmError> {
        check(fd.as_fd(), bytes, BLOB_SEALS, "a blob")?;
        Ok(Self { fd, bytes })
    }

    /// Maps the bytes.
    pub fn map(&self) -> Result<crate::map::BlobMapping, ShmError> {
        crate::map::BlobMapping::new(self.fd.as_fd(), self.bytes)
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl AsFd for Blob {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const PAGE: u64 = 4096;

    fn dup(fd: &impl AsFd) -> OwnedFd {
        fd.as_fd().try_clone_to_owned().unwrap()
    }

    #[test]
    fn what_another_has_written_is_sealed_with_the_size_that_it_has() {
        let mut draft = BlobDraft::new(0).unwrap();
        let mut theirs = File::from(dup(draft.file()));
        theirs.write_all(b"hello").unwrap();
        let blob = draft.seal_as_found().unwrap();
        assert_eq!(blob.map().unwrap().as_ref(), b"hello");
        assert!(theirs.write(b"more").is_err());
    }

    #[test]
    fn what_the_writer_writes_the_reader_reads() {
        let segment = Segment::create(PAGE).unwrap();
        let writer = Segment::for_writer(dup(&segment), PAGE)
            .unwrap()
            .map_writer()
            .unwrap();
        segment.seal_writers().unwrap();
        let reader = Segment::for_reader(dup(&segment), PAGE)
            .unwrap()
            .map_reader()
            .unwrap();

        writer.slice(100, 5).unwrap().copy_from(b"hello").unwrap();

        let mut read = [0; 5];
        reader.slice(100, 5).unwrap().copy_to(&mut read).unwrap();
        assert_eq!(&read, b"hello");
    }

    #[test]
    fn a_sealed_segment_takes_no_second_writer() {
        let segment = Segment::create(PAGE).unwrap();
        segment.seal_writers().unwrap();
        let second = Segment::for_writer(dup(&segment), PAGE).unwrap();
        assert!(matches!(second.map_writer(), Err(ShmError::System { .. })));
    }

    #[test]
    fn an_unsealed_segment_is_not_read() {
        let segment = Segment::create(PAGE).unwrap();
        assert!(matches!(
            Segment::for_reader(dup(&segment), PAGE),
            Err(ShmError::Unfit { .. })
        ));
    }

    #[test]
    fn a_segment_of_another_size_is_not_read() {
        let segment = Segment::create(PAGE).unwrap();
        segment.seal_writers().unwrap();
        assert!(matches!(
            Segment::for_reader(dup(&segment), 2 * PAGE),
            Err(ShmError::Unfit { .. })
        ));
    }

    #[test]
    fn a_file_or_a_pipe_is_no_segment() {
        let file = OwnedFd::from(File::open("/dev/null").unwrap());
        let (pipe, _other_end) = nix::unistd::pipe().unwrap();
        assert!(matches!(
            Segment::for_writer(file, 0),
            Err(ShmError::Unfit { .. })
        ));
        assert!(matches!(
            Segment::for_writer(pipe, 0),
            Err(ShmError::Unfit { .. })
        ));
    }

    #[test]
    fn a_segment_cannot_be_resized() {
        let segment = Segment::create(PAGE).unwrap();
        assert_eq!(ftruncate(&segment, 0), Err(nix::Error::EPERM));
    }

    #[test]
    fn memory_that_is_busy_for_a_moment_is_sealed_all_the_same() {
        let mut draft = BlobDraft::new(PAGE).unwrap();
        draft.write_all(&[7; 4096]).unwrap();
        let held = Mapping::read_write(draft.file.as_fd(), PAGE).unwrap();
        let holder = thread::Builder::new().name("holder".to_owned());
        let holder = holder.spawn(move || {
            thread::sleep(Duration::from_millis(10));
            drop(held);
        });
        assert_eq!(draft.seal().unwrap().map().unwrap().as_ref(), &[7; 4096]);
        holder.unwrap().join().unwrap();
    }

    #[test]
    fn memory_that_stays_busy_is_not_sealed_and_that_is_an_error() {
        let draft = BlobDraft::new(PAGE).unwrap();
        let _held = Mapping::read_write(draft.file.as_fd(), PAGE).unwrap();
        let sealed = draft.seal();
        assert!(
            matches!(&sealed, Err(ShmError::System { source, .. })
                if source.raw_os_error() == Some(nix::libc::EBUSY)),
            "{sealed:?}"
        );
    }

    #[test]
    fn a_program_and_a_library_are_sealed_like_any_blob() {
        for draft in [BlobDraft::program(3), BlobDraft::library(3)] {
            let mut draft = draft.unwrap();
            draft.file().write_all(b"ELF").unwrap();
            let blob = draft.seal().unwrap();
            assert_eq!(blob.map().unwrap().as_ref(), b"ELF");
            assert!(File::from(dup(&blob)).write(b"x").is_err());
        }
    }

    #[test]
    fn a_blob_is_read_back_and_cannot_be_written() {
        let blob = Blob::create(3, |file| file.write_all(b"abc")).unwrap();
        assert_eq!(blob.map().unwrap().as_ref(), b"abc");
        let mut file = File::from(dup(&blob));
        assert!(file.write(b"x").is_err());
    }

    #[test]
    fn what_is_written_before_the_seal_is_read_after_it_and_nothing_can_be_then() {
        let segment = Segment::create(4096).unwrap();
        segment.write_at(64, b"warm").unwrap();
        assert!(segment.write_at(4094, b"behind").is_err());
        segment.seal_writers().unwrap();
        assert!(segment.write_at(0, b"late").is_err());
        let place = std::sync::Arc::new(segment.map_reader().unwrap())
            .place(64, 4)
            .unwrap();
        let mut bytes = [0; 4];
        place.slice().copy_to(&mut bytes).unwrap();
        assert_eq!(&bytes, b"warm");
    }
}
