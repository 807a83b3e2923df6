//! The worker program, copied into memory that nobody can change and from which every worker is
//! started, whatever becomes of the file. It must be of this spawner's own build.

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nn_shm::{Blob, ShmError};
use nn_worker_wire::{BUILD_ID, build_id_in};

/// `MFD_EXEC` of linux/memfd.h (Linux 6.3): the memory may be executed as a file.
const EXEC: MFdFlags = MFdFlags::from_bits_retain(0x10);

/// The largest program taken.
const BYTES_MAX: u64 = 1 << 30;

/// Why a program is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    #[error("{0} failed: {1}")]
    System(&'static str, #[source] io::Error),
    #[error("sealing failed: {0}")]
    Memory(#[from] ShmError),
    #[error("it has {bytes} bytes, expected 1 to {BYTES_MAX}")]
    Size { bytes: u64 },
    #[error(
        "it is not of build {BUILD_ID}; hint: install nn-worker and nn-daemon of the same build"
    )]
    Build,
}

/// The sealed copy.
#[derive(Debug)]
pub(crate) struct Program {
    memory: Blob,
}

fn system<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> ProgramError {
    move |error| ProgramError::System(call, error.into())
}

// === impl Program ===

impl Program {
    /// Copies, seals, and only then looks whether it is the right one.
    pub(crate) fn copy(from: OwnedFd) -> Result<Self, ProgramError> {
        let mut from = File::from(from);
        let bytes = from.metadata().map_err(system("fstat"))?.len();
        if bytes == 0 || bytes > BYTES_MAX {
            return Err(ProgramError::Size { bytes });
        }
        let mut to = File::from(create().map_err(system("memfd_create"))?);
        from.rewind().map_err(system("lseek"))?;
        let copied = io::copy(&mut io::Read::take(from, BYTES_MAX), &mut to);
        let bytes = copied.map_err(system("copying"))?;
        let seals = SealFlag::F_SEAL_WRITE
            | SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_SEAL;
        fcntl(&to, FcntlArg::F_ADD_SEALS(seals)).map_err(system("fcntl(F_ADD_SEALS)"))?;
        let memory = Blob::from_fd(to.into(), bytes)?;
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

fn create() -> nix::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    match memfd_create(c"nn-worker", flags | EXEC) {
        // Kernels before 6.3 do not know the flag.
        Err(nix::Error::EINVAL) => memfd_create(c"nn-worker", flags),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use nn_worker_wire::BUILD_ID_MARK;

    use super::*;

    fn file(content: &[u8]) -> OwnedFd {
        let mut file = File::from(memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap());
        file.write_all(content).unwrap();
        file.into()
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
    fn the_copy_cannot_be_written() {
        let program = Program::copy(file(BUILD_ID_MARK.as_bytes())).unwrap();
        let mut copy = File::from(program.as_fd().try_clone_to_owned().unwrap());
        assert!(copy.write(b"x").is_err());
    }
}
