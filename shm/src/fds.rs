//! Packets with descriptors over `SOCK_SEQPACKET`: the only place that sends or takes descriptors.
//! It never blocks longer than the socket does and never keeps a descriptor that was not expected.
#![expect(
    unsafe_code,
    reason = "recvmsg with control data, and owning the descriptors it yields"
)]

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, getsockopt, sendmsg,
    socketpair, sockopt,
};

/// The most descriptors one packet can carry (`SCM_MAX_FD` of the kernel).
const FDS_MAX: usize = 253;

/// Room for them in the control buffer, in 8-byte words so that it is aligned for `cmsghdr`: one
/// header of 16 bytes and the descriptors, rounded up.
const CONTROL_WORDS: usize = 2 + FDS_MAX.div_ceil(2);

/// A packet that came.
#[derive(Debug)]
pub struct Packet {
    /// Bytes of the caller's buffer that it fills. 0 is the end of the connection.
    pub len: usize,
    /// Its descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
}

/// `SO_PASSRIGHTS` of asm-generic/socket.h (Linux 6.16).
const PASS_RIGHTS: libc::c_int = 83;

/// Has the kernel refuse descriptors that a peer sends here; connections to a listening socket have that from their
/// first byte. Without it a descriptor that nobody asked for is closed by whoever reads past it, and closing can take as
/// long as the peer likes (a TCP socket that lingers). False where the kernel does not know this, before Linux 6.16.
pub fn refuse_descriptors(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let off: libc::c_int = 0;
    let len = libc::socklen_t::try_from(size_of_val(&off)).map_err(io::Error::other)?;
    // SAFETY: `off` is an integer that lives through the call, and `len` is its size; the kernel only reads it.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            PASS_RIGHTS,
            (&raw const off).cast(),
            len,
        )
    };
    if set == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOPROTOOPT) => Ok(false),
        _ => Err(error),
    }
}

/// A connected pair, both ends close-on-exec and blocking.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?)
}

/// Sends one packet. A peer that is gone is an error, never a signal.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let sent = loop {
        match sendmsg::<UnixAddr>(
            socket.as_raw_fd(),
            &[IoSlice::new(bytes)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Err(nix::Error::EINTR) => {}
            other => break other?,
        }
    };
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::WriteZero,
            "a packet was sent in part",
        ))
    }
}

/// Takes one packet into `buffer`. It may bring up to `fds_max` descriptors; a packet with more, or
/// one longer than the buffer, is an error, and whatever descriptors came with it are closed. Where none may come, none
/// is taken: the kernel drops them, and this process spends no number and no `close` of its own on them.
pub fn recv(socket: BorrowedFd<'_>, buffer: &mut [u8], fds_max: usize) -> io::Result<Packet> {
    recv_with(socket, buffer, fds_max, 0)?.whole()
}

/// The same from a peer that is trusted to send no more descriptors than it may: those that did not arrive had no
/// number left in this process. `None` in their place, and the bytes are as they were sent.
pub fn recv_short_of_fds(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    fds_max: usize,
) -> io::Result<(usize, Option<Vec<OwnedFd>>)> {
    let came = recv_with(socket, buffer, fds_max, 0)?;
    Ok((came.packet.len, (!came.is_cut).then_some(came.packet.fds)))
}

/// The same without waiting: `None` when no packet is there.
pub fn try_recv(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    fds_max: usize,
) -> io::Result<Option<Packet>> {
    match recv_with(socket, buffer, fds_max, libc::MSG_DONTWAIT) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        other => other.and_then(Came::whole).map(Some),
    }
}

/// A packet, and whether some of its descriptors did not arrive.
struct Came {
    packet: Packet,
    is_cut: bool,
}

impl Came {
    fn whole(self) -> io::Result<Packet> {
        if self.is_cut {
            return Err(broken("a packet whose descriptors did not all arrive"));
        }
        Ok(self.packet)
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn recv_with(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    fds_max: usize,
    flags: libc::c_int,
) -> io::Result<Came> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut iov = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: `msghdr` is plain numbers and pointers, for which all-zero bytes are a valid value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    // Closing a descriptor by its number may wait for whoever made it (a file of FUSE is flushed). One that was never
    // taken has no number.
    if fds_max > 0 {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control);
    }
    let len = loop {
        // SAFETY: `header` points to one iovec over `buffer` and to `control`, or to no control data with
        // length 0, all alive and unaliased for the call, with their true lengths; the name pointer is null
        // with length 0.
        let got = unsafe {
            libc::recvmsg(
                socket.as_raw_fd(),
                &raw mut header,
                libc::MSG_CMSG_CLOEXEC | flags,
            )
        };
        match usize::try_from(got) {
            Ok(len) => break len,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    };
    // Owned before anything is judged, so that whatever is refused is also closed.
    let fds = owned_fds(&header);
    if header.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(broken("a packet longer than any of the protocol"));
    }
    if fds.len() > fds_max {
        return Err(broken("a packet with more descriptors than it may bring"));
    }
    Ok(Came {
        packet: Packet { len, fds },
        is_cut: header.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// Takes over the `SOCK_SEQPACKET` socket that this process was started with under `number`, and makes
/// it close-on-exec. Fails for anything else, and the second time.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    let socket = inherited_any(number)?;
    if getsockopt(&socket, sockopt::SockType)? != SockType::SeqPacket {
        let what = "this descriptor is a socket of another type";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(socket)
}

/// Takes over whatever this process was started with under `number`, and makes it close-on-exec. Fails where there is
/// nothing, and the second time.
pub fn inherited_any(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the borrow lasts to the end of this function, in which nothing closes a descriptor; if
    // the number is not open, the calls below say so.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = FdFlag::from_bits_retain(fcntl(borrowed, FcntlArg::F_GETFD)?);
    if flags.contains(FdFlag::FD_CLOEXEC) {
        let what = "this descriptor was made by the process itself, or taken already";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: the descriptor is open (all calls above succeeded) and nobody else owns it: it had no
    // close-on-exec flag, which std and this crate set on all that they make, so it came by exec; and
    // it has the flag now, so that this line is reached once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes every descriptor from `first` on. For the start of `main`, before anything is opened:
/// whatever is there then was left behind by whoever started this process.
pub fn close_inherited(first: u32) -> io::Result<()> {
    // SAFETY: close_range takes three integers. That nothing in this process owns what it closes is
    // the caller's promise, above; no memory depends on it.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Ends the process at once: the kernel closes its descriptors, and nothing of it runs any more. No exit
/// handlers: those of a native library may wait for threads that will never answer.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: `_exit` takes an integer, touches no memory of ours and does not return.
    unsafe { libc::_exit(libc::c_int::from(code)) }
}

/// Every descriptor in the control data that the kernel filled in.
fn owned_fds(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: `header` describes the control buffer as recvmsg left it.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or a header inside the control buffer,
        // which is aligned for it.
        let cmsg = unsafe { next.read() };
        if cmsg.cmsg_level == libc::SOL_SOCKET && cmsg.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: `next` is a header inside the buffer (above).
            let data = unsafe { libc::CMSG_DATA(next) };
            let header_len = data.addr().saturating_sub(next.addr());
            let bytes = cmsg.cmsg_len.saturating_sub(header_len);
            let count = bytes.checked_div(size_of::<RawFd>()).unwrap_or(0);
            for index in 0..count {
                let place = data.cast::<RawFd>().wrapping_add(index);
                // SAFETY: `place` is valid for a read of one descriptor: the kernel wrote `count` of
                // them behind the header, all inside the buffer. It need not be aligned.
                let raw = unsafe { place.read_unaligned() };
                // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
                fds.push(unsafe { OwnedFd::from_raw_fd(raw) });
            }
        }
        // SAFETY: `header` is as recvmsg left it and `next` lies inside its control buffer.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    fds
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;

    use super::*;

    fn open_fds() -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn a_packet_brings_its_bytes_and_descriptors() {
        let (here, there) = pair().unwrap();
        let file = fs::File::open("/dev/null").unwrap();
        send(here.as_fd(), b"one", &[file.as_fd(), file.as_fd()]).unwrap();
        let mut buffer = [0; 16];
        let packet = recv(there.as_fd(), &mut buffer, 2).unwrap();
        assert_eq!(
            (&buffer[..packet.len], packet.fds.len()),
            (b"one".as_slice(), 2)
        );
    }

    #[test]
    fn the_end_of_the_connection_is_a_packet_of_no_bytes() {
        let (here, there) = pair().unwrap();
        drop(here);
        assert_eq!(recv(there.as_fd(), &mut [0; 16], 0).unwrap().len, 0);
    }

    #[test]
    fn a_packet_longer_than_the_buffer_is_refused() {
        let (here, there) = pair().unwrap();
        send(here.as_fd(), &[7; 17], &[]).unwrap();
        let error = recv(there.as_fd(), &mut [0; 16], 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error() {
        let (here, there) = pair().unwrap();
        drop(there);
        assert_eq!(
            send(here.as_fd(), b"x", &[]).unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }

    #[test]
    fn nothing_to_receive_is_no_packet() {
        let (here, there) = pair().unwrap();
        assert!(try_recv(there.as_fd(), &mut [0; 16], 0).unwrap().is_none());
        send(here.as_fd(), b"x", &[]).unwrap();
        assert_eq!(
            try_recv(there.as_fd(), &mut [0; 16], 0)
                .unwrap()
                .unwrap()
                .len,
            1
        );
        drop(here);
        assert_eq!(
            try_recv(there.as_fd(), &mut [0; 16], 0)
                .unwrap()
                .unwrap()
                .len,
            0
        );
    }

    #[test]
    fn a_socket_that_refuses_descriptors_still_takes_bytes() {
        let (here, there) = pair().unwrap();
        let file = fs::File::open("/dev/null").unwrap();
        let refused = refuse_descriptors(there.as_fd()).unwrap();
        let sent = send(here.as_fd(), b"x", &[file.as_fd()]);
        assert_eq!(sent.is_err(), refused, "{sent:?}");
        send(here.as_fd(), b"y", &[]).unwrap();
    }

    #[test]
    fn what_is_no_socket_cannot_refuse_descriptors() {
        let file = fs::File::open("/dev/null").unwrap();
        assert!(refuse_descriptors(file.as_fd()).is_err());
    }

    #[test]
    fn a_socket_of_our_own_making_is_not_inherited() {
        let (here, _there) = pair().unwrap();
        assert_eq!(
            inherited(here.as_raw_fd()).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }

    /// One test, because counting this process's descriptors and opening them would race.
    #[test]
    fn descriptors_beyond_those_expected_are_closed() {
        let (here, there) = pair().unwrap();
        let file = fs::File::open("/dev/null").unwrap();
        let before = open_fds();
        for _ in 0..100 {
            send(here.as_fd(), b"x", &[file.as_fd(); FDS_MAX]).unwrap();
            assert!(recv(there.as_fd(), &mut [0; 16], 1).is_err());
            send(here.as_fd(), b"x", &[file.as_fd(); 2]).unwrap();
            assert!(recv(there.as_fd(), &mut [0; 16], 1).is_err());
        }
        for _ in 0..100 {
            send(here.as_fd(), b"x", &[file.as_fd(); FDS_MAX]).unwrap();
            assert!(recv(there.as_fd(), &mut [0; 16], 0).is_err());
        }
        // The other tests of this binary hold a handful at a time.
        assert!(open_fds() < before + 50);
    }
}
