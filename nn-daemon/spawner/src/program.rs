//! What workers are made of, copied into memory that nobody can change, whatever becomes of the files: the worker
//! program, which must be of this spawner's own build, and the framework's library.

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nn_shm::{Blob, BlobDraft, ShmError};
use nn_worker_wire::{BUILD_ID, build_id_in};

/// The largest file taken.
const BYTES_MAX: u64 = 1 << 30;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    #[error("{0} failed: {1}")]
    System(&'static str, #[source] io::Error),
    #[error("sealing failed: {0}: {cause}", cause = cause(.0))]
    Memory(#[from] ShmError),
    #[error("it is no file")]
    Kind,
    #[error("it has {bytes} bytes, expected 1 to {BYTES_MAX}")]
    Size { bytes: u64 },
    #[error("it had {expected} bytes and then {got}; hint: start again when nobody writes to it")]
    Changed { expected: u64, got: u64 },
    #[error(
        "it is not of build {BUILD_ID}; hint: install nn-worker and nn-daemon of the same build"
    )]
    Build,
}

/// The sealed copy of the worker program.
#[derive(Debug)]
pub(crate) struct Program {
    memory: Blob,
}

/// The sealed copy of a framework's library. Each worker maps it: there is one for all of them.
#[derive(Debug)]
pub(crate) struct Library {
    memory: Blob,
}

/// Nobody walks a chain here.
fn cause(error: &ShmError) -> String {
    std::error::Error::source(error).map_or(String::new(), ToString::to_string)
}

fn system<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> ProgramError {
    move |error| ProgramError::System(call, error.into())
}

/// Copies and seals.
fn copy(
    from: OwnedFd,
    draft: fn(u64) -> Result<BlobDraft, ShmError>,
) -> Result<Blob, ProgramError> {
    let mut from = File::from(from);
    let file = from.metadata().map_err(system("fstat"))?;
    let expected = file.len();
    if !file.is_file() {
        return Err(ProgramError::Kind);
    }
    if expected == 0 || expected > BYTES_MAX {
        return Err(ProgramError::Size { bytes: expected });
    }
    from.rewind().map_err(system("lseek"))?;
    let mut to = draft(expected)?;
    let copied = io::copy(&mut io::Read::take(from, BYTES_MAX), to.file());
    let got = copied.map_err(system("copying"))?;
    if got != expected {
        return Err(ProgramError::Changed { expected, got });
    }
    Ok(to.seal()?)
}

// === impl Program ===

impl Program {
    /// Copies, seals, and only then looks whether it is the right one.
    pub(crate) fn copy(from: OwnedFd) -> Result<Self, ProgramError> {
        let memory = copy(from, BlobDraft::program)?;
        if !build_id_in(memory.map()?.as_ref()) {
            return Err(ProgramError::Build);
        }
        Ok(Self { memory })
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

// === impl Library ===

impl Library {
    /// Copies and seals.
    pub(crate) fn copy(from: OwnedFd) -> Result<Self, ProgramError> {
        let memory = copy(from, BlobDraft::library)?;
        Ok(Self { memory })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.memory.bytes()
    }
}

impl AsFd for Library {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use nn_worker_wire::BUILD_ID_MARK;

    use super::*;

    fn file(content: &[u8]) -> OwnedFd {
        let mut draft = BlobDraft::new(0).unwrap();
        draft.file().write_all(content).unwrap();
        draft.file().try_clone().unwrap().into()
    }

    #[test]
    fn a_program_of_this_build_is_taken() {
        let program = format!("ELF…{BUILD_ID_MARK}…");
        assert!(Program::copy(file(program.as_bytes())).is_ok());
    }

    #[test]
    fn a_program_of_another_build_is_refused() {
        let program = BUILD_ID_MARK.replace('=', "=0");
        assert!(matches!(
            Program::copy(file(program.as_bytes())),
            Err(ProgramError::Build)
        ));
    }

    #[test]
    fn an_empty_program_is_refused() {
        assert!(matches!(
            Program::copy(file(b"")),
            Err(ProgramError::Size { bytes: 0 })
        ));
    }

    #[test]
    fn what_is_no_file_is_no_library() {
        let null = File::open("/dev/null").unwrap().into();
        let copied = Library::copy(null);
        assert!(matches!(copied, Err(ProgramError::Kind)), "{copied:?}");
    }

    #[test]
    fn the_copies_cannot_be_written() {
        let program = Program::copy(file(BUILD_ID_MARK.as_bytes())).unwrap();
        let library = Library::copy(file(b"ELF")).unwrap();
        for fd in [program.as_fd(), library.as_fd()] {
            let mut copy = File::from(fd.try_clone_to_owned().unwrap());
            assert!(copy.write(b"x").is_err());
        }
    }

    #[test]
    fn a_copy_stays_as_it_is_when_the_file_is_overwritten() {
        let original = file(b"ELF");
        let mut again = File::from(original.try_clone().unwrap());
        let library = Library::copy(original).unwrap();
        again.rewind().unwrap();
        again.write_all(b"new").unwrap();
        assert_eq!(library.memory.map().unwrap().as_ref(), b"ELF");
    }
}
