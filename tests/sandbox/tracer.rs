//! Every system call of the workers that a spawner starts, seen by ptrace from their birth on.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Calls kept; beyond that the trace is useless and says so.
const CALLS_MAX: usize = 1_000_000;

/// The longest path that is read.
const PATH_BYTES_MAX: usize = 512;

/// A system call as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) thread: i32,
    pub(crate) number: c_long,
    pub(crate) arguments: [u64; 4],
    /// Of the calls that take one first, or behind a directory.
    pub(crate) path: Option<String>,
}

/// A running trace.
pub(crate) struct Tracer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Call>>,
}

impl Tracer {
    /// Follows whatever the process starts from now on.
    pub(crate) fn of(spawner: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        // All requests must come from the thread that attached.
        let thread = Builder::new().name("tracer".to_owned()).spawn(move || {
            let spawner = Pid::from_raw(i32::try_from(spawner).unwrap());
            let options = Options::PTRACE_O_TRACEFORK
                | Options::PTRACE_O_TRACEVFORK
                | Options::PTRACE_O_TRACECLONE
                | Options::PTRACE_O_TRACEEXEC
                | Options::PTRACE_O_TRACESYSGOOD;
            ptrace::seize(spawner, options).unwrap();
            ready.send(()).unwrap();
            follow(spawner, &told)
        });
        is_ready.recv_timeout(Duration::from_secs(10)).unwrap();
        Self {
            stop,
            thread: thread.unwrap(),
        }
    }

    /// What was called. Whoever was followed has ended, or goes on by itself.
    pub(crate) fn end(self) -> Vec<Call> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

fn follow(spawner: Pid, stop: &AtomicBool) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut inside: HashSet<Pid> = HashSet::new();
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD | WaitPidFlag::WNOHANG;
    while !stop.load(Ordering::Acquire) && calls.len() < CALLS_MAX {
        let Ok(status) = waitpid(None, Some(flags)) else {
            break;
        };
        let resumed = match status {
            WaitStatus::StillAlive => {
                std::thread::sleep(Duration::from_micros(200));
                continue;
            }
            WaitStatus::PtraceSyscall(thread) => {
                // Entry and exit take turns; only what is asked counts.
                if inside.insert(thread) {
                    calls.extend(call(thread));
                } else {
                    inside.remove(&thread);
                }
                ptrace::syscall(thread, None)
            }
            WaitStatus::PtraceEvent(process, ..) if process == spawner => {
                ptrace::cont(process, None)
            }
            WaitStatus::Stopped(process, signal) if process == spawner => {
                ptrace::cont(process, signal)
            }
            WaitStatus::PtraceEvent(thread, ..) => ptrace::syscall(thread, None),
            WaitStatus::Stopped(thread, signal) => ptrace::syscall(thread, signal),
            _ => continue,
        };
        // One that was killed meanwhile is gone.
        let _ = resumed;
    }
    assert!(calls.len() < CALLS_MAX, "too many calls to keep");
    calls
}

fn call(thread: Pid) -> Option<Call> {
    let registers = ptrace::getregs(thread).ok()?;
    let number = c_long::try_from(registers.orig_rax).ok()?;
    let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
    let address = match number {
        libc::SYS_open | libc::SYS_creat | libc::SYS_execve => Some(arguments[0]),
        libc::SYS_openat => Some(arguments[1]),
        _ => None,
    };
    Some(Call {
        thread: thread.as_raw(),
        number,
        arguments,
        path: address.map(|address| text(thread, address)),
    })
}

/// A C string of another process.
fn text(thread: Pid, address: u64) -> String {
    let mut bytes = Vec::new();
    for offset in (0..PATH_BYTES_MAX).step_by(8) {
        let at = usize::try_from(address).unwrap_or(0).wrapping_add(offset);
        let Ok(word) = ptrace::read(thread, std::ptr::without_provenance_mut(at)) else {
            break;
        };
        for byte in word.to_ne_bytes() {
            if byte == 0 {
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
