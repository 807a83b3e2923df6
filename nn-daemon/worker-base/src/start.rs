//! How a process of the spawner's begins: with nothing but its descriptors and the log, and no environment.

use std::io::Write;
use std::os::fd::OwnedFd;

use nn_shm::{Blob, fds};
use nn_worker_wire::{BUILD_ID_MARK, Part, status};

use crate::channel::FDS_MAX;
use crate::exit::Exit;
use crate::log;
use crate::order::FIRST_FOREIGN_FD;

/// The control socket.
const CONTROL_FD: i32 = 3;

/// All that may be in the environment. (ONNX Runtime from 1.29 on reads it when it is loaded.)
const ENVIRONMENT: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// Lives the life of the program of that name, and ends the process with a code of its table.
pub fn run(name: &'static str, live: impl FnOnce() -> Exit) -> ! {
    log::name(name);
    let mut arguments = std::env::args_os().skip(1);
    let exit = match (arguments.next(), arguments.next()) {
        (None, _) => live(),
        (Some(only), None) if only == "--build-id" => print_build_id(),
        _ => Exit::Usage("it takes no arguments; nn-spawner starts it".to_owned()),
    };
    log::last(&exit.to_string());
    fds::exit_now(exit.code())
}

/// Also keeps the mark in the program, where the spawner looks for it.
fn print_build_id() -> Exit {
    match writeln!(std::io::stdout(), "{BUILD_ID_MARK}") {
        Ok(()) => Exit::Clean,
        Err(source) => Exit::System {
            call: "write",
            source,
        },
    }
}

/// Gives the control socket. First of all, while it is sure that every descriptor behind those of its libraries is
/// somebody else's.
pub fn isolate() -> Result<OwnedFd, Exit> {
    let usage = |what: &str| Exit::Usage(what.to_owned());
    fds::close_inherited(FIRST_FOREIGN_FD).map_err(Exit::system("close_range"))?;
    let socket = fds::inherited(CONTROL_FD)
        .map_err(|error| usage(&format!("descriptor 3 is no control socket ({error})")))?;
    let (name, value) = ENVIRONMENT;
    if std::env::vars_os().any(|(n, v)| n != name || v != value) {
        return Err(usage("the environment is not empty"));
    }
    std::panic::set_hook(Box::new(|panic| {
        log::last(&panic.to_string());
        fds::exit_now(status::PANIC);
    }));
    Ok(socket)
}

/// The parts of a model, and their descriptors.
pub fn blobs(parts: &[Part], fds: Vec<OwnedFd>) -> Result<Vec<Blob>, Exit> {
    if parts.is_empty() || parts.len() > FDS_MAX || parts.len() != fds.len() {
        let (parts, fds) = (parts.len(), fds.len());
        return Err(Exit::Protocol(format!(
            "a model of {parts} parts in {fds} descriptors"
        )));
    }
    let pairs = parts.iter().zip(fds);
    pairs
        .map(|(part, fd)| Blob::from_fd(fd, part.bytes).map_err(Exit::protocol))
        .collect()
}
