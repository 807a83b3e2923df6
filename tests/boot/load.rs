//! Restarts while requests come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nn_tests::{Machine, coffee, wait_until};

use crate::setup::{is_right, label};

const CLIENTS: usize = 4;

const RESTARTS: usize = 3;

/// Requests that are answered before a restart, and after it.
const BETWEEN: usize = 16;

const PATIENCE: Duration = Duration::from_secs(60);

/// One request: when it was sent, when it was answered, with what.
struct Request {
    sent: Instant,
    answered: Instant,
    answer: String,
}

/// What the clients and the one who restarts know of each other.
#[derive(Default)]
struct Race {
    answered: AtomicUsize,
    over: AtomicBool,
}

// === impl Race ===

impl Race {
    /// One request after another.
    fn run(&self, machine: &Machine) -> Vec<Request> {
        let picture = coffee();
        let mut requests = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            let sent = Instant::now();
            let answer = label(machine, &picture);
            requests.push(Request {
                sent,
                answered: Instant::now(),
                answer,
            });
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        requests
    }

    /// Waits until that many more have been answered.
    fn wait(&self, more: usize) {
        let enough = self.answered.load(Ordering::Relaxed) + more;
        wait_until("requests are answered", PATIENCE, || {
            self.answered.load(Ordering::Relaxed) >= enough
        });
    }

    /// Restarts the daemon, and gives the moments at which that began.
    fn restart(&self, machine: &Machine) -> Vec<Instant> {
        self.wait(BETWEEN);
        let restart = |_| {
            let begun = Instant::now();
            machine.run("systemctl restart nn-daemon").success();
            self.wait(BETWEEN);
            begun
        };
        (0..RESTARTS).map(restart).collect()
    }
}

pub(crate) fn restart(machine: &mut Machine) -> String {
    let (machine, race) = (&*machine, &Race::default());
    let (begun, requests) = thread::scope(|scope| {
        let start = |_| {
            let client = thread::Builder::new().name("client".to_owned());
            client.spawn_scoped(scope, || race.run(machine)).unwrap()
        };
        let clients: Vec<_> = (0..CLIENTS).map(start).collect();
        let restarting = thread::Builder::new().name("restarting".to_owned());
        let restarting = restarting
            .spawn_scoped(scope, || race.restart(machine))
            .unwrap();
        let begun = restarting.join();
        // Also where it failed: the clients would never end else.
        race.over.store(true, Ordering::Relaxed);
        let requests = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        (begun.unwrap(), requests.collect::<Vec<_>>())
    });
    judge(&begun, &requests)
}

fn judge(begun: &[Instant], requests: &[Request]) -> String {
    let failed = |request: &&Request| !is_right(&request.answer);
    let in_flight = |request: &&Request| {
        let over = |at: &Instant| request.sent <= *at && request.answered >= *at;
        begun.iter().any(over)
    };
    let lost: Vec<&str> = requests
        .iter()
        .filter(|request| failed(request) && !in_flight(request))
        .map(|request| request.answer.as_str())
        .collect();
    assert!(
        lost.is_empty(),
        "{} new requests failed: {lost:?}",
        lost.len()
    );
    // Those that were being computed may end in an error, and it is one that says what happened.
    let ended: Vec<&str> = requests
        .iter()
        .filter(failed)
        .map(|request| request.answer.as_str())
        .collect();
    assert!(
        ended.iter().all(|answer| answer.starts_with("50")),
        "{ended:?}"
    );
    let longest = requests
        .iter()
        .map(|request| request.answered - request.sent)
        .max();
    format!(
        "{} restarts, {} requests, 0 new ones failed, {} in flight ended in an error, the longest took {:.2} s",
        begun.len(),
        requests.len(),
        ended.len(),
        longest.unwrap_or_default().as_secs_f64()
    )
}
