//! `nn-relay`: has one model computed by remote engines. Started by `nn-spawner` only, as workers are: its control socket is
//! descriptor 3, its log a pipe on descriptor 2; what it is made of is read from descriptor 4, which is closed then. With
//! Boot come descriptor 4 again, on which jobs are interrupted, and 5, the socket to `nn-dialer`.
//!
//! Exit codes, besides a death by signal:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | the daemon said Bye, or closed the control socket |
//! | 64 | not started as a relay: arguments, environment or one of descriptors from 3 on are wrong |
//! | 69 | HTTP/2 or TLS did not come up; the log says why |
//! | 71 | the system refused something that a relay cannot do without |
//! | 76 | the daemon broke the protocol: an unreadable or impossible frame, a slot outside its arena |
//! | 77 | the jail could not be built; the log says which step the kernel refused |
//! | 134 | a panic: a defect of ours; the log has its place |
//! | 137 | out of memory: the budget is used up |
//!
//! `nn-relay --build-id` prints which build of the frames it speaks.

fn main() {
    nn_relay::run()
}
