//! clone3 and exec: a child from the sealed program, with exactly four descriptors. All unsafe lines
//! of this program.
//!
//! Between clone3 and exec the child makes system calls on numbers and constants only: it allocates
//! nothing, takes no lock and cannot panic, so that it does not matter what state the copy of the
//! parent's memory is in.
#![expect(
    unsafe_code,
    reason = "clone3, and system calls between clone and exec"
)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::libc::{self, c_int, c_uint};
use nix::unistd::Pid;
use nn_worker_wire::End;

const NAME: &CStr = c"nn-worker";

/// All of a worker's environment: ONNX Runtime from 1.29 on reports to its makers otherwise.
const ENVIRONMENT: &CStr = c"ORT_DISABLE_TELEMETRY=1";

/// What the child ends with when it cannot become a worker.
const NOT_STARTED: c_int = 127;

/// Above every number that the child gives away.
const FIRST_SPARE_FD: c_int = 16;

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
}

/// A child that runs, or has ended and was not waited for.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
}

/// What the child needs, as numbers.
struct Plan {
    program: RawFd,
    null: RawFd,
    log: RawFd,
    control: RawFd,
    parent: c_int,
    argv: [*const libc::c_char; 2],
    envp: [*const libc::c_char; 2],
}

/// Starts a worker. The caller has one thread.
pub(crate) fn start(start: Start<'_>) -> io::Result<Child> {
    let plan = Plan {
        program: start.program.as_raw_fd(),
        null: start.null.as_raw_fd(),
        log: start.log.as_raw_fd(),
        control: start.control.as_raw_fd(),
        parent: nix::unistd::getpid().as_raw(),
        argv: [NAME.as_ptr(), ptr::null()],
        envp: [ENVIRONMENT.as_ptr(), ptr::null()],
    };
    let mut pidfd: RawFd = -1;
    // SAFETY: `clone_args` is plain numbers, for which all-zero bytes are a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from(libc::CLONE_PIDFD.cast_unsigned());
    args.pidfd = (&raw mut pidfd).addr() as u64;
    args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    // SAFETY: `args` is alive, as long as said, and asks for a copy of this process (no shared memory,
    // no stack of its own): the child returns here on its copy of this stack. `pidfd` may be written.
    // This process has one thread, so no lock is held by somebody who does not exist in the copy.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of_val(&args)) };
    if pid == 0 {
        become_worker(&plan);
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

/// How a child ended, which is no longer there then; `None` while it runs. By hand, because `nix` takes
/// a death by a real-time signal for an error, and a worker may choose how it dies.
pub(crate) fn wait(child: &Child, flags: c_int) -> io::Result<Option<End>> {
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
fn become_worker(plan: &Plan) -> ! {
    if prepare(plan) {
        // SAFETY: the descriptor is open; the path is an empty C string, which AT_EMPTY_PATH asks for;
        // argv and envp are arrays of C strings that live for ever (constants), ended by null.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                plan.program,
                c"".as_ptr(),
                plan.argv.as_ptr(),
                plan.envp.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
    }
    // SAFETY: `_exit` takes an integer and does not return.
    unsafe { libc::_exit(NOT_STARTED) }
}

/// Brings the child into the state that a worker starts in; says whether all of it succeeded.
fn prepare(plan: &Plan) -> bool {
    dies_with_parent(plan.parent) && signals_are_default() && descriptors_in_place(plan) && alone()
}

fn dies_with_parent(parent: c_int) -> bool {
    let signal = libc::c_ulong::from(libc::SIGKILL.cast_unsigned());
    // SAFETY: this option takes a signal's number and no pointer.
    let asked = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
    // SAFETY: takes nothing, cannot fail. A parent that was gone before the line above sends nothing.
    let parent_now = unsafe { libc::getppid() };
    asked == 0 && parent_now == parent
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

fn descriptors_in_place(plan: &Plan) -> bool {
    // First out of the way, so that no number to be given away is one of these.
    let [null, log, control] = [plan.null, plan.log, plan.control].map(|fd| {
        // SAFETY: this command takes two integers.
        unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, FIRST_SPARE_FD) }
    });
    let targets = [(null, 0), (null, 1), (log, 2), (control, 3)];
    for (from, to) in targets {
        // SAFETY: takes two integers; the child owns its table of descriptors and nothing in it is
        // used by anybody else. The new descriptor is not close-on-exec.
        if from < 0 || unsafe { libc::dup2(from, to) } != to {
            return false;
        }
    }
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: takes three integers.
    unsafe { libc::syscall(libc::SYS_close_range, 4, c_uint::MAX, flags) == 0 }
}

/// Its own session, so that nothing a terminal sends reaches it, and no folder of anybody's.
fn alone() -> bool {
    // SAFETY: takes nothing.
    let session = unsafe { libc::setsid() };
    // SAFETY: the path is a constant C string.
    let folder = unsafe { libc::chdir(c"/".as_ptr()) };
    session >= 0 && folder == 0
}
