//! `nn-dialer`: connects to the addresses that the operator allows, and hands the connections on. Started by `nn-daemon`
//! only, once, before that jails itself, where its configuration allows endpoints at all; standard input is the connection to
//! it (`SOCK_SEQPACKET`), and standard error the daemon's log.
//!
//! Exit codes:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | the daemon closed the connection |
//! | 64 | not started as a dialer: arguments, environment or standard input are wrong |
//! | 71 | the system refused something that a dialer cannot do without |
//! | 76 | the daemon broke the protocol |
//! | 77 | its own jail could not be put up |
//!
//! `nn-dialer --build-id` prints which build of the frames it speaks.

use std::io::Write;

use nn_shm::fds;

fn main() {
    let exit = nn_dialer::live();
    let code = exit.code();
    if code != 0 {
        // Nobody is left to tell that this cannot be said.
        let _ = writeln!(std::io::stderr(), "nn-dialer: {exit}");
    }
    // At once: what a thread does when it ends makes calls that no sealed process may make.
    fds::exit_now(code)
}
