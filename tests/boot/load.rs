//! Restarts and reloads while requests come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nn_tests::{Machine, coffee, wait_until};

use crate::PORT;
use crate::setup::{is_right, label};

const CLIENTS: usize = 4;

/// How often in a row.
const TIMES: usize = 3;

/// Requests that are answered before each, and after it.
const BETWEEN: usize = 16;

const PATIENCE: Duration = Duration::from_secs(60);

/// One request: when it was sent, when it was answered, with what.
struct Request {
    sent: Instant,
    answered: Instant,
    answer: String,
}

/// What the clients and the one who disturbs them know of each other.
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

    /// Does it several times, and gives the moments at which each began.
    fn disturb(&self, does: impl Fn(usize)) -> Vec<Instant> {
        self.wait(BETWEEN);
        let once = |round| {
            let begun = Instant::now();
            does(round);
            self.wait(BETWEEN);
            begun
        };
        (0..TIMES).map(once).collect()
    }
}

/// Has clients ask all the while that something is done to what answers them; gives when it was, and every request.
fn under_load(machine: &Machine, does: impl Fn(usize) + Send) -> (Vec<Instant>, Vec<Request>) {
    let race = &Race::default();
    thread::scope(|scope| {
        let start = |_| {
            let client = thread::Builder::new().name("client".to_owned());
            client.spawn_scoped(scope, || race.run(machine)).unwrap()
        };
        let clients: Vec<_> = (0..CLIENTS).map(start).collect();
        let disturbing = thread::Builder::new().name("disturbing".to_owned());
        let disturbing = disturbing
            .spawn_scoped(scope, move || race.disturb(does))
            .unwrap();
        let begun = disturbing.join();
        // Also where it failed: the clients would never end else.
        race.over.store(true, Ordering::Relaxed);
        let requests = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        (begun.unwrap(), requests.collect::<Vec<_>>())
    })
}

pub(crate) fn restart(machine: &mut Machine) -> String {
    let machine = &*machine;
    let (begun, requests) = under_load(machine, |_| {
        machine.run("systemctl restart nn-daemon").success();
    });
    judge(&begun, &requests)
}

/// The host's configuration, with one route more each time; not a single request is to notice.
pub(crate) fn host_reload(machine: &mut Machine) -> String {
    const CONFIG: &str = "/etc/nn-host/demo.toml";
    let machine = &*machine;
    let before = machine.property("nn-host@demo", "MainPID");
    machine
        .run(&format!("cp {CONFIG} {CONFIG}.before"))
        .success();
    let guest = "component = \"/usr/share/nn-daemon/examples/http-classify.wasm\"\n";
    let all = format!("listen = \"127.0.0.1:{PORT}\"\n[[routes]]\n{guest}");
    let (begun, requests) = under_load(machine, |round| {
        let more: String = (0..=round)
            .map(|route| {
                format!(
                    "[[routes]]\npath = \"/route-{route}\"\nenv = {{ N = \"{round}\" }}\n{guest}"
                )
            })
            .collect();
        machine.write(CONFIG, format!("{all}{more}"));
        machine.run("systemctl reload nn-host@demo").success();
    });
    let failed: Vec<&str> = requests
        .iter()
        .filter(|request| !is_right(&request.answer))
        .map(|request| request.answer.as_str())
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    let reloaded = machine
        .journal("nn-host@demo")
        .matches("was read again")
        .count();
    assert!(reloaded >= TIMES, "{reloaded} reloads in the log");

    machine
        .run(&format!("echo 'no such key' >> {CONFIG}"))
        .success();
    // Whether systemd calls this a failure is up to when the host says so; that it serves on is what counts.
    let _ = machine.run("systemctl reload nn-host@demo");
    machine.wait("the status says so", PATIENCE, |machine| {
        let status = machine.property("nn-host@demo", "StatusText");
        status.contains("the last reload failed")
    });
    assert!(is_right(&label(machine, &coffee())));
    machine
        .run(&format!(
            "cp {CONFIG}.before {CONFIG} && systemctl reload nn-host@demo"
        ))
        .success();
    assert_eq!(machine.property("nn-host@demo", "MainPID"), before);
    format!(
        "{} reloads, {} requests, 0 failed; a broken file changed nothing",
        begun.len(),
        requests.len()
    )
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
