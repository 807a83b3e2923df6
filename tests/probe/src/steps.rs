//! Steps of a script, done.

use std::convert::Infallible;
use std::os::fd::IntoRawFd;
use std::thread;

use nix::errno::Errno;
use nix::libc;
use nn_shm::fds;

use crate::ffi;
use crate::script::{Argument, Food, Step};

/// How much memory is mapped at a time.
const BITE: u64 = 16 << 20;

/// How much address space one page of page tables covers.
const TABLE_SPAN: u64 = 2 << 20;

/// The descriptors that a worker has.
const FDS: [u64; 5] = [0, 1, 2, 3, 4];

/// Where the walk over descriptors ends.
const FDS_MAX: u64 = 65_536;

/// Does one; `last` is what the one before gave.
pub(crate) fn take(step: &Step, last: u64) -> Result<u64, Errno> {
    match step {
        Step::Call(number, args) => with(args, last, |args| ffi::call(*number, args)),
        Step::Int80(number, args) => with(args, last, |args| ffi::int80(*number, args)),
        Step::Child(number, args) => with(args, last, |args| ffi::call_child(*number, args)),
        Step::Take => receive(),
        Step::Fds => walk(),
        Step::Writes(first, end) => writes(*first, *end),
        Step::Threads(count) => threads(*count),
        Step::Eat(food, bytes) => eat(*food, *bytes),
        Step::Flood(bytes) => flood(*bytes),
        Step::Grow(bytes) => Ok(grow(*bytes)),
        Step::Hang => match hang()? {},
    }
}

/// The words of a call. What they point to lives until the call has returned.
fn with(
    args: &[Argument],
    last: u64,
    call: impl FnOnce([u64; 6]) -> Result<u64, Errno>,
) -> Result<u64, Errno> {
    let mut kept = Vec::new();
    let mut words = [0; 6];
    for (word, argument) in words.iter_mut().zip(args) {
        *word = value(argument, last, &mut kept)?;
    }
    call(words)
}

fn value(argument: &Argument, last: u64, kept: &mut Vec<Vec<u8>>) -> Result<u64, Errno> {
    let bytes = match argument {
        Argument::Number(number) => return Ok(*number),
        Argument::Last => return Ok(last),
        Argument::Low(bytes) => return ffi::low(bytes),
        Argument::Bytes(bytes) => bytes.clone(),
        Argument::Words(words) => {
            let words: Result<Vec<u64>, Errno> =
                words.iter().map(|word| value(word, last, kept)).collect();
            words?.iter().flat_map(|word| word.to_ne_bytes()).collect()
        }
    };
    kept.push(bytes);
    let address = kept
        .last_mut()
        .map(|bytes| bytes.as_mut_ptr().expose_provenance());
    Ok(address
        .and_then(|address| u64::try_from(address).ok())
        .unwrap_or_default())
}

/// What the daemon never lets a worker keep: a compromised one may take it from the packet itself.
fn receive() -> Result<u64, Errno> {
    let packet = fds::recv(ffi::control(), &mut [0; 16], 1);
    let packet =
        packet.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
    let fd = packet.fds.into_iter().next().ok_or(Errno::ENOMSG)?;
    Ok(u64::from(fd.into_raw_fd().unsigned_abs()))
}

/// EBADF means: none but those that it should have.
fn walk() -> Result<u64, Errno> {
    let get = u64::from(libc::F_GETFD.unsigned_abs());
    let open = |fd: &u64| {
        let seen = ffi::call(libc::SYS_fcntl.cast_unsigned(), [*fd, get, 0, 0, 0, 0]);
        seen.is_ok()
    };
    if (0..FDS_MAX).filter(open).eq(FDS) {
        Err(Errno::EBADF)
    } else {
        Ok(0)
    }
}

fn writes(first: u64, last: u64) -> Result<u64, Errno> {
    let mut result = Err(Errno::EBADF);
    let byte = [Argument::Bytes(vec![1])];
    for fd in first..=last {
        let write = |[address, ..]: [u64; 6]| {
            ffi::call(libc::SYS_write.cast_unsigned(), [fd, address, 1, 0, 0, 0])
        };
        result = result.or(with(&byte, 0, write));
    }
    result
}

fn threads(count: u64) -> Result<u64, Errno> {
    for number in 0..count {
        let started = thread::Builder::new()
            .name(format!("many-{number}"))
            .stack_size(64 << 10)
            .spawn(park);
        started.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
    }
    Ok(count)
}

fn park() {
    loop {
        thread::park();
    }
}

/// Takes memory until there are so many bytes of it.
fn eat(food: Food, bytes: u64) -> Result<u64, Errno> {
    let write = libc::PROT_READ | libc::PROT_WRITE;
    let mut eaten = 0;
    if food == Food::Moved {
        return moved(bytes);
    }
    while eaten < bytes {
        eaten += match food {
            Food::Private => bite(write, libc::MAP_PRIVATE)?,
            Food::Shared => bite(write, libc::MAP_SHARED)?,
            Food::Stack => bite(write, libc::MAP_PRIVATE | libc::MAP_GROWSDOWN)?,
            Food::Moved | Food::Tables => tables()?,
        };
    }
    Ok(eaten)
}

fn bite(access: libc::c_int, flags: libc::c_int) -> Result<u64, Errno> {
    let address = ffi::map(BITE, access, flags)?;
    ffi::fill(address, BITE);
    Ok(BITE)
}

/// A page of this thread's stack that is not in use, made so large. Of interest for the first thread alone: the
/// others' stacks are memory like any other.
fn moved(bytes: u64) -> Result<u64, Errno> {
    let page = ffi::below_stack();
    let move_it = u64::from(libc::MREMAP_MAYMOVE.unsigned_abs());
    let args = [page, 4096, bytes, move_it, 0, 0];
    let address = ffi::call(libc::SYS_mremap.cast_unsigned(), args)?;
    ffi::fill(address, bytes);
    Ok(bytes)
}

/// Pages that are only read hold nothing of their own, but the kernel's way to them does.
fn tables() -> Result<u64, Errno> {
    const SPANS: u64 = 1024;
    let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
    let address = ffi::map(SPANS * TABLE_SPAN, libc::PROT_READ, flags)?;
    for span in 0..SPANS {
        ffi::look(address + span * TABLE_SPAN);
    }
    Ok(SPANS * 4096)
}

/// As fast as the pipe takes it.
fn flood(bytes: u64) -> Result<u64, Errno> {
    let line = [b"\x1b[2J\x1b]0;owned\x07".as_slice(), &[b'x'; 100], b"\n"].concat();
    let lines = Argument::Bytes(line.repeat(100));
    let len = u64::try_from(line.len() * 100).unwrap_or_default();
    let mut written = 0;
    while written < bytes {
        let args = [Argument::Number(2), lines.clone(), Argument::Number(len)];
        written += with(&args, 0, |args| {
            ffi::call(libc::SYS_write.cast_unsigned(), args)
        })?;
    }
    Ok(written)
}

/// Gives how large the block has become.
fn grow(bytes: u64) -> u64 {
    let mut block = Vec::new();
    let mut len = 0;
    while len < bytes {
        block.extend_from_slice(&[1_u8; 64 << 10]);
        len = u64::try_from(block.len()).unwrap_or(u64::MAX);
    }
    len
}

/// Blocks every signal that can be blocked, and never comes back.
fn hang() -> Result<Infallible, Errno> {
    let all = Argument::Bytes(vec![0xff; 8]);
    let none = Argument::Number(0);
    let args = [none.clone(), all, none, Argument::Number(8)];
    with(&args, 0, |args| {
        ffi::call(libc::SYS_rt_sigprocmask.cast_unsigned(), args)
    })?;
    loop {
        std::hint::spin_loop();
    }
}
