//! `nn-probe`: a worker that does what no worker may, for tests. It comes up as `nn-worker` does, being the same
//! code; instead of loading its model it reads from it what to try, tries that, and tells what came of it as the
//! reason why there is no model. Killed in the attempt, it tells nothing.
//!
//! The model is any bytes that hold `nn-probe:` SCRIPT `;`. How a script is written: `script.rs`.

mod ffi;
mod probe;
mod script;
mod steps;

use nn_backend::Backend;

fn main() {
    nn_worker::run(|_| Some(Box::<probe::ProbeBackend>::default() as Box<dyn Backend>))
}
