//! What every worker does, whatever its framework: come up ([`run`]), load one model, compute until
//! the daemon has no further use for it. One thread, blocking, and one more that interrupts what the first one computes;
//! there is nothing to schedule.
//!
//! What it has of processes in general is nn-worker-base's. A library only so that the workers of the tests can bring frameworks of their own.
//!
//! ```text
//! boot.rs   descriptors, environment, jail, framework, seal → Ready; model → Loaded
//! prepare.rs the other life: a worker that makes of a model what loads faster, and serves nobody
//! serve.rs  recv → run → reply, until the socket closes
//! interrupts.rs  the second thread, and what both know of the job at hand
//! converted.rs conversions around the model
//! answer.rs tensors in the model's terms and the daemon's (pure)
//! queue.rs  jobs that have come and not begun (pure)
//! io.rs     slot ↔ input and output: the single place that decides to copy
//! ```

mod answer;
mod boot;
mod converted;
mod interrupts;
mod io;
mod prepare;
mod queue;
mod serve;

use nn_backend::Backend;
use nn_worker_base::{Exit, start};

/// Gives the backend of that name.
pub type Select = fn(&str) -> Option<Box<dyn Backend>>;

/// Lives a worker's life, and ends the process with a code of `nn-worker`'s table.
pub fn run(select: Select) -> ! {
    start::run("nn-worker", || live(select))
}

fn live(select: Select) -> Exit {
    match boot::boot(select) {
        Ok((desk, model)) => serve::serve(desk, model),
        Err(exit) => exit,
    }
}
