//! `nn-worker`: runs one model in its own process. Started by `nn-spawner` only: its control socket is
//! descriptor 3, its log a pipe on descriptor 2. What it is made of is read from descriptor 4, the framework's libraries are
//! descriptors 5 and following; none of them is there any more when it is sealed. What it is interrupted by is then descriptor 4, which comes
//! with Boot.
//!
//! Exit codes, besides a death by signal:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | the daemon said Bye, or closed the control socket |
//! | 64 | not started as a worker: arguments, environment or one of descriptors from 3 on are wrong |
//! | 69 | the framework did not load, or is unknown; the log says why |
//! | 71 | the system refused something that a worker cannot do without |
//! | 76 | the daemon broke the protocol: an unreadable or impossible frame, a slot outside its arena |
//! | 77 | the jail could not be built; the log says which step the kernel refused |
//! | 134 | a panic: a defect of ours; the log has its place |
//! | 137 | out of memory, where it could not be answered: the budget is used up |
//!
//! `nn-worker --build-id` prints which build of the frames it speaks.

mod select;

fn main() {
    nn_worker::run(select::backend)
}
