//! Every attempt with the walls of a relay: what a worker is denied, a relay is. What it may beyond that is to speak over
//! sockets that it is handed; which these can be, the dialer says (nn-daemon/dialer/tests/dialer.rs:
//! `what_is_not_on_the_list_is_not_dialed_however_it_is_written`).

use nn_tests::{Jailer, User};

use crate::attempts::Scene;
use crate::probe::{Outcome, attempt, in_parallel, jail_of};

/// What a relay's filter lets through beyond a worker's: TLS takes random numbers; how a socket was opened it knows.
const HARMLESS: [&str; 2] = ["getrandom", "fcntl(F_GETFL) of the control socket"];

fn nothing_gets_out(user: User) {
    let jailer = Jailer::start("nn-probe", user);
    let scene = Scene::new(&jailer);
    let attempts = scene.attempts();
    let jail = jail_of("relay", user);
    let start = || Jailer::start("nn-probe", user);
    let outcomes = in_parallel(&attempts, start, |jailer, what| {
        attempt(jailer, &jail, &what.script)
    });
    let all = attempts.iter().zip(&outcomes);
    let worked = all.filter(|(_, outcome)| **outcome == Outcome::Allowed);
    let worked: Vec<&str> = worked.map(|(attempt, _)| attempt.what).collect();
    assert_eq!(worked, HARMLESS, "something got out");
}

#[test]
fn nothing_gets_out_of_roots_relays() {
    if User::all().contains(&User::Root) {
        nothing_gets_out(User::Root);
    }
}

#[test]
fn nothing_gets_out_of_an_unprivileged_users_relays() {
    nothing_gets_out(User::Nobody);
}
