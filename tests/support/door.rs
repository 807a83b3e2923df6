//! Sockets that a test keeps for a daemon, as a service manager does: they listen while no daemon is there, and each
//! daemon inherits copies of them (LISTEN_FDS). Nothing here needs `unsafe`: the sockets travel as standard input and
//! output of a shell, which puts them where a daemon looks and says whose they are.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};

/// Runs a daemon in the shell's place: LISTEN_PID must be the daemon's own.
const SCRIPT: &str = r#"exec 3<&0 4<&1 </dev/null >/dev/null
LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=nn-daemon:nn-daemon exec "$0" "$@""#;

/// Connections that may wait at each socket: what systemd asks for, cut by the kernel to its own most.
const BACKLOG: i32 = 4095;

/// Both sockets of a daemon, kept over its restarts.
#[derive(Debug)]
pub(crate) struct KeptDoor {
    grpc: OwnedFd,
    fd: OwnedFd,
}

fn bound(path: &Path, kind: SockType) -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    fs::set_permissions(path, Permissions::from_mode(0o660))?;
    Ok(socket)
}

impl KeptDoor {
    /// Binds both in `dir`, which is made.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self {
            grpc: bound(&dir.join(nn_proto::GRPC_SOCKET), SockType::Stream)?,
            fd: bound(&dir.join(nn_proto::FD_SOCKET), SockType::SeqPacket)?,
        })
    }

    /// A command that runs `program` with both at 3 and 4.
    pub(crate) fn command(&self, program: &Path) -> io::Result<Command> {
        let copy = |socket: &OwnedFd| socket.as_fd().try_clone_to_owned().map(Stdio::from);
        #[expect(clippy::disallowed_methods, reason = "the tests' daemon")]
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).arg(program);
        command.stdin(copy(&self.grpc)?).stdout(copy(&self.fd)?);
        Ok(command)
    }
}
