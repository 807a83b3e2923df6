//! clone3 and exec: a child from the sealed program, in namespaces of its own, with exactly its own
//! descriptors. All unsafe lines of this program.
//!
//! ```text
//! spawner                                  child
//!   clone3(namespaces) ──────────────────▶   waits
//!   writes its uid and gid maps
//!   go ──────────────────────────────────▶   inheritable and ambient capabilities (they count in its
//!                                            own user namespace only, and outlive exec) → exec
//! ```
//!
//! Between clone3 and exec the child makes system calls on numbers and constants only: it allocates
//! nothing, takes no lock and cannot panic, so that it does not matter what state the copy of the
//! parent's memory is in.
#![expect(
    unsafe_code,
    reason = "clone3, and system calls between clone and exec"
)]

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::fcntl::OFlag;
use nix::libc::{self, c_int, c_uint};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};
use nn_worker_wire::{End, LIBRARIES_MAX, status};

use crate::ids::Ids;

const NAME: &CStr = c"nn-worker";

/// All of a worker's environment: ONNX Runtime from 1.29 on reports to its makers otherwise.
const ENVIRONMENT: &CStr = c"ORT_DISABLE_TELEMETRY=1";

/// What the child ends with when it cannot become a worker.
const NOT_STARTED: c_int = status::NOT_STARTED as c_int;

/// What a trial ends with when everything worked.
pub(crate) const TRIED: c_int = 0;

/// Capabilities that the worker builds its jail with, in its own user namespace: CAP_SETGID, CAP_SETUID,
/// CAP_SETPCAP, CAP_SYS_ADMIN. It drops them before it loads anything.
const CAPABILITIES: [libc::c_ulong; 4] = [6, 7, 8, 21];

/// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// `CLONE_INTO_CGROUP` of linux/sched.h (Linux 5.7).
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// Above every number that the child gives away.
const FIRST_SPARE_FD: c_int = 16;

/// What a child is to become.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role<'a> {
    /// A worker.
    Worker(Start<'a>),
    /// Nothing: it tries whether it may mount in its namespaces, and ends.
    Trial,
}

/// What a worker starts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    pub(crate) program: BorrowedFd<'a>,
    /// Becomes 0 and 1.
    pub(crate) null: BorrowedFd<'a>,
    /// Becomes 2.
    pub(crate) log: BorrowedFd<'a>,
    /// Becomes 3.
    pub(crate) control: BorrowedFd<'a>,
    /// Becomes 4.
    pub(crate) order: BorrowedFd<'a>,
    /// Become 5 and what follows; at most `LIBRARIES_MAX`.
    pub(crate) libraries: &'a [BorrowedFd<'a>],
}

/// A child that runs, or has ended and was not waited for.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
}

/// What the child needs, as numbers.
struct Plan {
    worker: Option<Descriptors>,
    namespaces: u64,
    cgroup: Option<RawFd>,
    /// Where it waits until it may go on, and the other end of that.
    go: [RawFd; 2],
    argv: [*const libc::c_char; 2],
    envp: [*const libc::c_char; 2],
}

#[derive(Clone, Copy)]
struct Descriptors {
    program: RawFd,
    null: RawFd,
    log: RawFd,
    control: RawFd,
    order: RawFd,
    libraries: [RawFd; LIBRARIES_MAX],
    /// How many of those there are.
    count: usize,
}

/// `struct __user_cap_header_struct` of linux/capability.h.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

/// `struct __user_cap_data_struct`; there are two, for the lower and the upper 32.
#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Where a child is born.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// New ones (`CLONE_NEW*`, or-ed).
    pub(crate) namespaces: u64,
    /// The directory of the control group, if it is not to be the spawner's own.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
}

/// Starts a child. The caller has one thread.
pub(crate) fn start(role: Role<'_>, place: Place<'_>, ids: Option<&Ids>) -> io::Result<Child> {
    let (wait, go) = pipe2(OFlag::O_CLOEXEC)?;
    let worker = match role {
        Role::Trial => None,
        Role::Worker(start) if start.libraries.len() > LIBRARIES_MAX => {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Role::Worker(start) => Some(Descriptors {
            program: start.program.as_raw_fd(),
            null: start.null.as_raw_fd(),
            log: start.log.as_raw_fd(),
            control: start.control.as_raw_fd(),
            order: start.order.as_raw_fd(),
            libraries: std::array::from_fn(|n| {
                start.libraries.get(n).map_or(-1, |fd| fd.as_raw_fd())
            }),
            count: start.libraries.len(),
        }),
    };
    let plan = Plan {
        worker,
        namespaces: place.namespaces,
        cgroup: place.cgroup.map(|fd| fd.as_raw_fd()),
        go: [wait.as_raw_fd(), go.as_raw_fd()],
        argv: [NAME.as_ptr(), ptr::null()],
        envp: [ENVIRONMENT.as_ptr(), ptr::null()],
    };
    let child = clone(&plan)?;
    drop(wait);
    let mapped = ids.map_or(Ok(()), |ids| ids.write(child.pid));
    // A child that is gone says so by how it ended.
    let told = mapped.and_then(|()| File::from(go).write_all(b"!"));
    if let Err(error) = told {
        end(&child);
        while wait_for(&child, 0).is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
        return Err(error);
    }
    Ok(child)
}

/// In the parent, gives the child; the child does not return.
fn clone(plan: &Plan) -> io::Result<Child> {
    let mut pidfd: RawFd = -1;
    // SAFETY: `clone_args` is plain numbers, for which all-zero bytes are a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from(libc::CLONE_PIDFD.cast_unsigned()) | plan.namespaces;
    if let Some(cgroup) = plan.cgroup {
        args.flags |= INTO_CGROUP;
        args.cgroup = u64::from(cgroup.unsigned_abs());
    }
    args.pidfd = (&raw mut pidfd).addr() as u64;
    args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    // SAFETY: `args` is alive, as long as said, and asks for a copy of this process (no shared memory,
    // no stack of its own): the child returns here on its copy of this stack. `pidfd` may be written.
    // This process has one thread, so no lock is held by somebody who does not exist in the copy.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of_val(&args)) };
    if pid == 0 {
        live(plan);
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us (CLONE_PIDFD); nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = c_int::try_from(pid).map_err(io::Error::other)?;
    Ok(Child {
        pid: Pid::from_raw(pid),
        pidfd,
    })
}

/// Whoever started this process may have chosen not to hear of children; then they could not be waited for.
pub(crate) fn hear_of_children() -> io::Result<()> {
    // SAFETY: the number is a signal's and SIG_DFL is no handler of ours.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    if before == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Kills a child that was not waited for yet, so that its number is still its own.
pub(crate) fn end(child: &Child) {
    // The one failure there is would be that it has ended, which is what is wanted.
    let _ = kill(child.pid, Signal::SIGKILL);
}

/// How a child ended, which is no longer there then; `None` while it runs. By hand, because `nix` takes
/// a death by a real-time signal for an error, and a worker may choose how it dies.
pub(crate) fn wait_for(child: &Child, flags: c_int) -> io::Result<Option<End>> {
    let mut status: c_int = 0;
    // SAFETY: `status` may be written; the other arguments are integers.
    let waited = unsafe { libc::waitpid(child.pid.as_raw(), &raw mut status, flags) };
    match waited {
        0 => Ok(None),
        pid if pid == child.pid.as_raw() && libc::WIFEXITED(status) => {
            Ok(Some(End::Exit(libc::WEXITSTATUS(status))))
        }
        pid if pid == child.pid.as_raw() => Ok(Some(End::Signal(libc::WTERMSIG(status)))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// In the child. Nothing here may allocate, lock or panic.
fn live(plan: &Plan) -> ! {
    let ready = dies_with_parent() && may_go_on(plan);
    let status = match plan.worker {
        None if ready && may_mount(plan.namespaces) => TRIED,
        Some(worker) if ready => become_worker(plan, worker),
        None | Some(_) => NOT_STARTED,
    };
    // SAFETY: `_exit` takes an integer and does not return.
    unsafe { libc::_exit(status) }
}

/// Returns only if it fails.
fn become_worker(plan: &Plan, worker: Descriptors) -> c_int {
    if keeps_capabilities(plan.namespaces)
        && signals_are_default()
        && let Some(program) = descriptors_in_place(worker)
        && alone()
    {
        // SAFETY: the descriptor is open; the path is an empty C string, which AT_EMPTY_PATH asks for;
        // argv and envp are arrays of C strings that live for ever (constants), ended by null.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                program,
                c"".as_ptr(),
                plan.argv.as_ptr(),
                plan.envp.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
    }
    NOT_STARTED
}

/// A parent that is gone before this sends nothing: then nobody says "go" either.
fn dies_with_parent() -> bool {
    let signal = libc::c_ulong::from(libc::SIGKILL.cast_unsigned());
    // SAFETY: this option takes a signal's number and no pointer.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) == 0 }
}

/// Waits until the parent has written the maps; false when it is gone.
fn may_go_on(plan: &Plan) -> bool {
    let [wait, go] = plan.go;
    // SAFETY: takes an integer. The child owns its table of descriptors; this copy must be closed, or the
    // end of the parent would not be seen below.
    unsafe { libc::close(go) };
    let mut byte = 0_u8;
    // SAFETY: `byte` may be written and has the length that is said.
    unsafe { libc::read(wait, (&raw mut byte).cast(), 1) == 1 }
}

fn may_mount(namespaces: u64) -> bool {
    if namespaces & u64::from(libc::CLONE_NEWNS.cast_unsigned()) == 0 {
        return true;
    }
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    let root = c"/".as_ptr();
    // SAFETY: the paths are constant C strings; source, type and data may be null for this change, which
    // concerns the child's own mount namespace alone.
    unsafe { libc::mount(ptr::null(), root, ptr::null(), flags, ptr::null()) == 0 }
}

/// In a user namespace of its own a child has every capability there; exec would take them.
fn keeps_capabilities(namespaces: u64) -> bool {
    if namespaces & u64::from(libc::CLONE_NEWUSER.cast_unsigned()) == 0 {
        return true;
    }
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let bits = CAPABILITIES
        .iter()
        .fold(0_u32, |bits, &capability| bits | 1 << capability);
    let low = CapabilityData {
        effective: bits,
        permitted: bits,
        inheritable: bits,
    };
    let high = CapabilityData {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    };
    let data = [low, high];
    // SAFETY: header and data have the kernel's layout for this version, which reads one header and two
    // data, and they live over the call.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    set == 0
        && CAPABILITIES.iter().all(|&capability| {
            let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
            let zero: libc::c_ulong = 0;
            // SAFETY: this option takes integers and no pointer.
            unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, capability, zero, zero) == 0 }
        })
}

/// Handlers are reset by exec, but what is ignored or blocked stays so.
fn signals_are_default() -> bool {
    for signal in 1..=31 {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP {
            // SAFETY: the number is a signal's and SIG_DFL is no handler of ours.
            let before = unsafe { libc::signal(signal, libc::SIG_DFL) };
            if before == libc::SIG_ERR {
                return false;
            }
        }
    }
    // SAFETY: `sigset_t` is plain numbers, for which all-zero bytes are a valid value: the empty set.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `none` is alive; the old set is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) == 0 }
}

/// Gives the program's descriptor, which is out of the way then.
fn descriptors_in_place(w: Descriptors) -> Option<RawFd> {
    // First out of the way, so that no number to be given away is one of these.
    let spare = |fd| {
        // SAFETY: this command takes two integers.
        unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, FIRST_SPARE_FD) }
    };
    let [program, null, log, control, order] =
        [w.program, w.null, w.log, w.control, w.order].map(spare);
    let libraries = w.libraries.map(spare);
    let targets = [(null, 0), (null, 1), (log, 2), (control, 3), (order, 4)];
    let libraries = libraries.into_iter().zip(5..FIRST_SPARE_FD).take(w.count);
    let first = targets.len().saturating_add(w.count);
    for (from, to) in targets.into_iter().chain(libraries) {
        // SAFETY: takes two integers; the child owns its table of descriptors and nothing in it is
        // used by anybody else. The new descriptor is not close-on-exec.
        if from < 0 || unsafe { libc::dup2(from, to) } != to {
            return None;
        }
    }
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: takes three integers.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, flags) };
    (closed == 0 && program >= 0).then_some(program)
}

/// Its own session, so that nothing a terminal sends reaches it, and no folder of anybody's.
fn alone() -> bool {
    // SAFETY: takes nothing.
    let session = unsafe { libc::setsid() };
    // SAFETY: the path is a constant C string.
    let folder = unsafe { libc::chdir(c"/".as_ptr()) };
    session >= 0 && folder == 0
}
