//! What every worker does, whatever its framework: come up ([`run`]), load one model, compute until
//! the daemon has no further use for it. One thread, blocking, and one more that interrupts what the first one computes;
//! there is nothing to schedule.
//!
//! A library only so that the workers of the tests can bring frameworks of their own.
//!
//! ```text
//! boot.rs   descriptors, environment, jail, framework, seal → Ready; model → Loaded
//! order.rs  what this worker is made of, as its spawner says
//! prepare.rs the other life: a worker that makes of a model what loads faster, and serves nobody
//! memory.rs the end of a worker that runs out of memory
//! serve.rs  recv → run → reply, until the socket closes
//! interrupts.rs  the second thread, and what both know of the job at hand
//! converted.rs conversions around the model
//! answer.rs tensors in the model's terms and the daemon's (pure)
//! queue.rs  jobs that have come and not begun (pure)
//! arenas.rs what is mapped, and the slots of what this worker writes
//! io.rs     slot ↔ input and output: the single place that decides to copy
//! ```

mod answer;
mod arenas;
mod boot;
mod channel;
mod converted;
mod exit;
mod interrupts;
mod io;
mod log;
mod memory;
mod order;
mod prepare;
mod queue;
mod serve;

use std::io::Write;

use nn_backend::Backend;
use nn_shm::fds;
use nn_worker_wire::BUILD_ID_MARK;

use crate::exit::Exit;

/// Gives the backend of that name.
pub type Select = fn(&str) -> Option<Box<dyn Backend>>;

/// Lives a worker's life, and ends the process with a code of `nn-worker`'s table.
pub fn run(select: Select) -> ! {
    let mut arguments = std::env::args_os().skip(1);
    let exit = match (arguments.next(), arguments.next()) {
        (None, _) => live(select),
        (Some(only), None) if only == "--build-id" => print_build_id(),
        _ => Exit::Usage("a worker takes no arguments; nn-spawner starts it".to_owned()),
    };
    log::last(&exit.to_string());
    fds::exit_now(exit.code())
}

fn live(select: Select) -> Exit {
    match boot::boot(select) {
        Ok((desk, model)) => serve::serve(desk, model),
        Err(exit) => exit,
    }
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
