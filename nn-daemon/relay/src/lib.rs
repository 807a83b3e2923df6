//! Has one model computed by remote engines that speak the Open Inference Protocol, in the place of a framework: to the
//! daemon it is a worker, with the same frames, the same arenas and the same jail. It has no network and no call that could
//! give it one: connections are handed to it, one by one, by nn-dialer (ADR 36). What engines answer is as little trusted as
//! what a framework computes, and is checked before it lies in a slot.
//!
//! One thread, many jobs at a time: each is a task, and nothing that one of them waits for keeps the others waiting.
//!
//! ```text
//! boot.rs     descriptors, jail, runtime, warm-up, seal → Ready; what it is told of the model → Loaded
//! warm.rs     HTTP/2 and TLS, once, against itself
//! packets.rs  sockets of frames, to be waited for together
//! serve.rs    the loop: frames, interrupts, the end
//! desk.rs     what is mapped, which jobs there are, and their answers
//! job.rs      one job: slots → message → engine → slots
//! room.rs     memory for outputs, asked for without holding up others (pure)
//! engine.rs   the model at its endpoints: no frames, no shared memory
//! ```

pub mod engine;

mod boot;
mod desk;
mod job;
mod packets;
mod room;
mod serve;
mod warm;

use nn_worker_base::start;

/// Lives a relay's life, and ends the process with a code of `nn-relay`'s table.
pub fn run() -> ! {
    start::run("nn-relay", boot::live)
}
