//! Descriptors of any kind, sent by clients, of which the protocol has none to send.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::eventfd::EventFd;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg, setsockopt, sockopt};
use nix::sys::stat::Mode;
use nix::unistd::{ftruncate, pipe};
use nn_shm::Segment;
use nn_tests::{Daemon, require_backends, soak_rounds};

use crate::neighbour::{beside, echo_daemon};
use crate::raw::{Raw, hello, knock, receive, send};
use crate::wire;

/// The most that a packet can carry.
const FDS_MAX: usize = 253;

/// How long the daemon would wait for a socket that lingers.
const LINGER_S: libc::c_int = 20;

fn daemon() -> Daemon {
    echo_daemon(Daemon::builder())
}

fn opened(path: &str, flags: OFlag) -> OwnedFd {
    open(path, flags, Mode::empty()).unwrap()
}

fn memfd(bytes: i64) -> OwnedFd {
    let fd = memfd_create(c"not-yours", MFdFlags::MFD_CLOEXEC).unwrap();
    ftruncate(&fd, bytes).unwrap();
    fd
}

/// One of each kind.
fn kinds() -> Vec<(&'static str, OwnedFd)> {
    let sealed = Segment::create(4096).unwrap();
    sealed.seal_writers().unwrap();
    let (read, write) = pipe().unwrap();
    let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
    vec![
        ("an unsealed memfd", memfd(4096)),
        (
            "a sealed memfd",
            sealed.as_fd().try_clone_to_owned().unwrap(),
        ),
        ("a sparse memfd", memfd(1 << 40)),
        ("the end of a pipe to read", read),
        ("the end of a pipe to write", write),
        ("a socket", socket.into()),
        ("a device", opened("/dev/zero", OFlag::O_RDWR)),
        ("a path", opened("/etc/passwd", OFlag::O_PATH)),
        (
            "a directory",
            opened("/", OFlag::O_RDONLY | OFlag::O_DIRECTORY),
        ),
        (
            "an event counter",
            EventFd::new()
                .unwrap()
                .as_fd()
                .try_clone_to_owned()
                .unwrap(),
        ),
        ("a file", File::open("/proc/self/exe").unwrap().into()),
    ]
}

/// Sends these on a fresh connection to each door; where the kernel lets them through, the connection ends.
fn send_to_both(daemon: &Daemon, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> bool {
    let packets = knock(daemon).unwrap();
    let refused = send(&packets, bytes, fds);
    if refused.is_ok() {
        while receive(&packets).is_some() {}
    }
    let mut stream = wire::knock(daemon).unwrap();
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let _ = sendmsg::<UnixAddr>(
        stream.as_raw_fd(),
        &[IoSlice::new(bytes)],
        &[ControlMessage::ScmRights(&raw)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
    let _ = stream.write_all(wire::PREFACE);
    refused == Err(nix::Error::EPERM)
}

#[test]
fn descriptors_of_every_kind_are_refused_and_none_stays() {
    require_backends!();
    let daemon = daemon();
    let kinds = kinds();
    beside(&daemon, || {
        for (name, fd) in &kinds {
            let refused = send_to_both(&daemon, &hello(None, None), &[fd.as_fd()]);
            println!(
                "{name}: {}",
                if refused {
                    "refused by the kernel"
                } else {
                    "dropped"
                }
            );
        }
        let many: Vec<BorrowedFd<'_>> = (0..FDS_MAX)
            .map(|n| kinds[n % kinds.len()].1.as_fd())
            .collect();
        for _ in 0..200 * soak_rounds(1) {
            send_to_both(&daemon, b"x", &many);
        }
    });
}

#[test]
fn a_descriptor_in_mid_session_costs_that_session_or_nothing() {
    require_backends!();
    let daemon = daemon();
    let raw = Raw::open(&daemon);
    let (_, device) = kinds().swap_remove(6);
    match send(&raw.fds, b"x", &[device.as_fd()]) {
        // The kernel did not let it through: the session knows nothing of it.
        Err(nix::Error::EPERM) => assert!(raw.resolve("echo").is_ok()),
        _ => assert!(receive(&raw.fds).is_none()),
    }
}

fn linger(seconds: libc::c_int) -> libc::linger {
    libc::linger {
        l_onoff: 1,
        l_linger: seconds,
    }
}

/// A TCP socket that has bytes to send which nobody takes, and whose end waits for that.
fn lingering() -> (TcpStream, TcpListener, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[0; 65536]).is_ok() {}
    setsockopt(&stream, sockopt::Linger, &linger(LINGER_S)).unwrap();
    (stream, listener, peer)
}

#[test]
fn a_descriptor_whose_end_takes_long_does_not_hold_up_the_daemon() {
    require_backends!();
    let (probe, other) = nn_shm::fds::pair().unwrap();
    if !nn_shm::fds::refuse_descriptors(probe.as_fd()).unwrap() {
        println!("skipped: this kernel cannot refuse descriptors");
        return;
    }
    drop(other);
    let daemon = daemon();
    beside(&daemon, || {
        for _ in 0..5 {
            let (stream, _listener, _peer) = lingering();
            if send_to_both(&daemon, b"x", &[stream.as_fd()]) {
                // It never left, and is this test's own to end.
                let at_once = linger(0);
                setsockopt(&stream, sockopt::Linger, &at_once).unwrap();
            }
        }
    });
}
