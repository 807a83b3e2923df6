//! System calls by their numbers, with whatever arguments: all unsafe lines of this program.
#![expect(
    unsafe_code,
    reason = "a system call of any number is what a probe is for"
)]

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::libc;

/// A page.
const PAGE: u64 = 4096;

/// `MAP_32BIT` of asm/mman.h: below 2 GiB. Where there is no such flag there are no 32-bit calls either.
#[cfg(target_arch = "x86_64")]
const LOW: libc::c_int = libc::MAP_32BIT;
#[cfg(not(target_arch = "x86_64"))]
const LOW: libc::c_int = 0;

/// The control socket, for as long as the worker lives.
pub(crate) fn control() -> BorrowedFd<'static> {
    // SAFETY: a worker's control socket is descriptor 3 from its first line to its last.
    unsafe { BorrowedFd::borrow_raw(3) }
}

/// Any system call. What it does to this process is this process's own risk: it was made to be lost.
pub(crate) fn call(number: u64, args: [u64; 6]) -> Result<u64, Errno> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: where an argument is an address the script has put a buffer of this process there, alive
    // over the call. A call that unmaps or overwrites what belongs to others ends this process early,
    // which its tests take for what it is; no result of it is trusted with anything.
    let result = unsafe { libc::syscall(number.cast_signed(), a, b, c, d, e, f) };
    Errno::result(result).map(i64::cast_unsigned)
}

/// The same, for calls that may return once more, in a child: that one ends at once.
#[cfg(target_arch = "x86_64")]
pub(crate) fn call_child(number: u64, args: [u64; 6]) -> Result<u64, Errno> {
    let [a, b, c, d, e, f] = args;
    let result: i64;
    // SAFETY: as above; and the child, whether it has a copy of this stack or shares it, leaves by
    // exit_group (231) without a write to memory, so that the parent finds everything as it was.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, 231",
            "xor edi, edi",
            "syscall",
            "2:",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    kernel(result)
}

/// The same, for calls that may return once more, in a child: that one ends at once.
#[cfg(target_arch = "aarch64")]
pub(crate) fn call_child(number: u64, args: [u64; 6]) -> Result<u64, Errno> {
    let [a, b, c, d, e, f] = args;
    let result: i64;
    // SAFETY: as above; and the child leaves by exit_group (94) without a write to memory.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x8, 94",
            "svc 0",
            "2:",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
        );
    }
    kernel(result)
}

/// A system call by the entry of 32-bit programs: other numbers, and words of 32 bits.
#[cfg(target_arch = "x86_64")]
pub(crate) fn int80(number: u64, args: [u64; 6]) -> Result<u64, Errno> {
    let [a, b, c, d, e, _] = args;
    let result: u64;
    // SAFETY: as above; rbx belongs to the compiler and is put back.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "mov rbx, {first}",
            "int 0x80",
            "pop rbx",
            first = in(reg) a,
            inlateout("rax") number => result,
            in("rcx") b, in("rdx") c, in("rsi") d, in("rdi") e,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    let low = u32::try_from(result & 0xffff_ffff).unwrap_or_default();
    kernel(i64::from(low.cast_signed()))
}

/// There is no such entry here.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn int80(_: u64, _: [u64; 6]) -> Result<u64, Errno> {
    Err(Errno::ENOSYS)
}

/// What the kernel itself returns: an error as a small negative number.
fn kernel(result: i64) -> Result<u64, Errno> {
    match result {
        -4095..0 => Err(Errno::from_raw(i32::try_from(-result).unwrap_or_default())),
        _ => Ok(result.cast_unsigned()),
    }
}

/// Maps fresh memory without a file, as these flags say.
pub(crate) fn map(bytes: u64, access: libc::c_int, flags: libc::c_int) -> Result<u64, Errno> {
    let words = [access, flags | libc::MAP_ANONYMOUS].map(|word| u64::from(word.cast_unsigned()));
    let [access, flags] = words;
    call(
        libc::SYS_mmap.cast_unsigned(),
        [0, bytes, access, flags, u64::MAX, 0],
    )
}

/// A copy of these bytes at an address below 2 GiB.
pub(crate) fn low(bytes: &[u8]) -> Result<u64, Errno> {
    let size = u64::try_from(bytes.len())
        .unwrap_or(PAGE)
        .next_multiple_of(PAGE);
    let address = map(
        size,
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | LOW,
    )?;
    for (offset, &byte) in (0_u64..).zip(bytes) {
        // SAFETY: the address lies in the mapping just made, which nobody else knows of and which is never
        // taken back.
        unsafe { pointer(address + offset).write(byte) };
    }
    Ok(address)
}

/// A page of this thread's stack, below what is in use.
pub(crate) fn below_stack() -> u64 {
    const DISTANCE: u64 = 64 << 10;
    let here = 0_u8;
    let address = u64::try_from((&raw const here).addr()).unwrap_or_default();
    address.saturating_sub(DISTANCE) & !(PAGE - 1)
}

/// Writes a byte to each page of a mapping of [`map`] that may be written.
pub(crate) fn fill(address: u64, bytes: u64) {
    for offset in (0..bytes).step_by(4096) {
        // SAFETY: the caller has just mapped so many bytes there, for writing, and never takes them back.
        unsafe { pointer(address + offset).write_volatile(1) };
    }
}

/// Reads a byte of a mapping of [`map`].
pub(crate) fn look(address: u64) -> u8 {
    // SAFETY: the caller has just mapped memory there, for reading, and never takes it back.
    unsafe { pointer(address).read_volatile() }
}

fn pointer(address: u64) -> *mut u8 {
    std::ptr::with_exposed_provenance_mut(usize::try_from(address).unwrap_or_default())
}
