//! Mappings of shared memory, and the only copies in and out of them. Every unsafe line about
//! mapped memory is in this file. It refuses to hand out `&[u8]` of memory that another process may
//! write, with one named exception ([`Mapping::expose`]).
#![expect(
    unsafe_code,
    reason = "raw access to mapped memory, each bounds-checked here"
)]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};

use crate::{ShmError, VolatileSlice};

/// A whole segment, mapped for the life of this value.
#[derive(Debug)]
pub struct Mapping {
    raw: MmapRaw,
    writable: bool,
}

/// The bytes of a blob, mapped read-only. Nobody can change them, so they may be a `&[u8]`.
#[derive(Debug)]
pub struct BlobMapping {
    raw: Option<MmapRaw>,
}

/// Bytes of a reader's mapping, exposed as `&[u8]` although their writer could still change them:
/// see [`Mapping::expose`].
#[derive(Debug)]
pub struct Exposed {
    mapping: Arc<Mapping>,
    offset: usize,
    len: usize,
}

fn options(bytes: u64) -> Result<MmapOptions, ShmError> {
    let bytes = usize::try_from(bytes).map_err(|_| ShmError::Bounds {
        offset: 0,
        len: bytes,
        size: u64::MAX,
    })?;
    let mut options = MmapOptions::new();
    options.len(bytes);
    Ok(options)
}

fn mmap_failed(source: std::io::Error) -> ShmError {
    ShmError::System {
        call: "mmap",
        source,
    }
}

// === impl Mapping ===

impl Mapping {
    /// Maps `bytes` bytes for writing. The caller has checked that the file has them and cannot
    /// shrink, else an access might be answered by SIGBUS.
    pub(crate) fn read_write(fd: BorrowedFd<'_>, bytes: u64) -> Result<Self, ShmError> {
        let raw = options(bytes)?
            .map_raw(fd.as_raw_fd())
            .map_err(mmap_failed)?;
        Ok(Self {
            raw,
            writable: true,
        })
    }

    /// The same for reading.
    pub(crate) fn read_only(fd: BorrowedFd<'_>, bytes: u64) -> Result<Self, ShmError> {
        let raw = options(bytes)?
            .map_raw_read_only(fd.as_raw_fd())
            .map_err(mmap_failed)?;
        Ok(Self {
            raw,
            writable: false,
        })
    }

    /// Bytes mapped.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether nothing is mapped; segments are never empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of it; fails when it does not lie inside.
    pub fn slice(&self, offset: u64, len: u64) -> Result<VolatileSlice<'_>, ShmError> {
        let (offset, len) = self.range(offset, len)?;
        Ok(VolatileSlice::new(self, offset, len))
    }

    /// A pointer to a part of it, for a framework that reads or writes there by itself. The pointer
    /// is good for `len` bytes as long as this mapping lives; it may be written only if the mapping
    /// [`is_writable`](Self::is_writable).
    pub fn pointer(&self, offset: u64, len: u64) -> Result<*mut u8, ShmError> {
        let (offset, _) = self.range(offset, len)?;
        Ok(self.raw.as_mut_ptr().wrapping_add(offset))
    }

    /// Whether it was mapped for its writer.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Exposes a part of a reader's mapping as `&[u8]`, to be copied once by somebody who takes
    /// nothing but slices. The single exception to this crate's rule, for lowering result lists into a
    /// guest by one memcpy (ADR 3): the bytes are data that no one interprets, and a writer that
    /// changes them during the copy changes only what the guest receives. Nothing may branch on them.
    pub fn expose(self: &Arc<Self>, offset: u64, len: u64) -> Result<Exposed, ShmError> {
        let (offset, len) = self.range(offset, len)?;
        Ok(Exposed {
            mapping: Arc::clone(self),
            offset,
            len,
        })
    }

    /// The first byte of it.
    pub(crate) fn base(&self) -> *mut u8 {
        self.raw.as_mut_ptr()
    }

    pub(crate) fn range(&self, offset: u64, len: u64) -> Result<(usize, usize), ShmError> {
        let size = self.len();
        let bounds = || ShmError::Bounds {
            offset,
            len,
            size: u64::try_from(size).unwrap_or(u64::MAX),
        };
        let start = usize::try_from(offset).map_err(|_| bounds())?;
        let count = usize::try_from(len).map_err(|_| bounds())?;
        match start.checked_add(count) {
            Some(end) if end <= size => Ok((start, count)),
            _ => Err(bounds()),
        }
    }

    /// Copies out of the mapping. `offset + to.len()` has been checked by [`slice`](Self::slice); it
    /// is checked again here because the check is what makes the block below sound.
    pub(crate) fn copy_out(&self, offset: usize, to: &mut [u8]) -> Result<(), ShmError> {
        self.check(offset, to.len())?;
        let from = self.raw.as_ptr().wrapping_add(offset);
        // SAFETY: `from` is valid for `to.len()` reads: the range lies inside the mapping (line
        // above), which lives as long as `self`, and the file cannot shrink (sealed, checked before
        // mapping). `to` is valid for as many writes, being a unique slice, and cannot overlap the
        // mapping, of which no reference exists in this process. Any bytes are valid `u8`s, so what a
        // concurrent writer in another process leaves there cannot make an invalid value.
        unsafe { std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    /// Copies into the mapping.
    pub(crate) fn copy_in(&self, offset: usize, from: &[u8]) -> Result<(), ShmError> {
        self.check(offset, from.len())?;
        if !self.writable {
            return Err(ShmError::ReadOnly);
        }
        let to = self.raw.as_mut_ptr().wrapping_add(offset);
        // SAFETY: `to` is valid for `from.len()` writes: the range lies inside the mapping (checked
        // above), which lives as long as `self`, was mapped writable (checked above), and the file
        // cannot shrink. `from` is a slice and valid for as many reads; it cannot overlap the mapping,
        // of which no reference exists in this process.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
        Ok(())
    }

    fn check(&self, offset: usize, len: usize) -> Result<(), ShmError> {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.range(wide(offset), wide(len)).map(drop)
    }
}

// === impl BlobMapping ===

impl BlobMapping {
    /// Maps a file that is sealed against every change.
    pub(crate) fn new(fd: BorrowedFd<'_>, bytes: u64) -> Result<Self, ShmError> {
        if bytes == 0 {
            return Ok(Self { raw: None });
        }
        let raw = options(bytes)?
            .map_raw_read_only(fd.as_raw_fd())
            .map_err(mmap_failed)?;
        Ok(Self { raw: Some(raw) })
    }
}

impl AsRef<[u8]> for BlobMapping {
    fn as_ref(&self) -> &[u8] {
        let Some(raw) = &self.raw else { return &[] };
        // SAFETY: pointer and length are those of a live read-only mapping, so valid for reads and
        // initialised (a file's bytes are); `u8` has no alignment; the length is at most isize::MAX
        // because mmap gave it. The bytes cannot change during the borrow: the file carries
        // F_SEAL_WRITE, which `Blob::from_fd` checked and which excludes any writable mapping.
        unsafe { std::slice::from_raw_parts(raw.as_ptr(), raw.len()) }
    }
}

// === impl Exposed ===

impl AsRef<[u8]> for Exposed {
    fn as_ref(&self) -> &[u8] {
        let start = self.mapping.raw.as_ptr().wrapping_add(self.offset);
        // SAFETY: `Mapping::expose` checked that `offset + len` lies inside the mapping, which `self`
        // keeps alive and whose file cannot shrink; `u8` has no alignment and the length is below
        // isize::MAX. That the bytes do not change during the borrow cannot be met by checking: the
        // worker may break its promise. ADR 3 says why this is accepted here: the one user copies
        // the slice with memcpy and never looks at a byte.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }
}
