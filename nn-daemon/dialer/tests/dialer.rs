//! The dialer as it really is: its program, started as the daemon starts it, jailed, and asked by relays that are not what
//! they should be.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy takes for production code"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use nn_sandbox::{Facts, OwnPlan, OwnProfile};
use nn_shm::fds;
use nn_worker_wire::{BUILD_ID, Dial, DialFailure, Dialed, FromDialer, ToDialer, decode, encode};

/// Longer than anything here takes on a busy machine.
const PATIENCE_S: i64 = 60;

/// Enough time for any connection.
const LONG_MS: u32 = 30_000;

struct Dialer {
    process: Child,
    socket: OwnedFd,
}

struct Relay(OwnedFd);

fn pair() -> (OwnedFd, OwnedFd) {
    let (ours, theirs) = fds::pair().unwrap();
    setsockopt(&ours, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0)).unwrap();
    (ours, theirs)
}

// === impl Dialer ===

impl Dialer {
    #[expect(clippy::disallowed_methods, reason = "a test starts the dialer")]
    fn begin() -> Self {
        let (socket, theirs) = pair();
        let process = Command::new(env!("CARGO_BIN_EXE_nn-dialer"))
            .env_clear()
            .env("RES_OPTIONS", "timeout:1 attempts:1")
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process, socket }
    }

    /// Jailed, and allowed these.
    fn start(endpoints: &[&str]) -> Self {
        let dialer = Self::begin();
        let plan = OwnPlan::new(OwnProfile::named("dialer").unwrap(), &Facts::read());
        let layers = plan.active().into_iter();
        dialer.tell(
            &ToDialer::Allow {
                build_id: BUILD_ID.to_owned(),
                endpoints: endpoints.iter().map(|&one| one.to_owned()).collect(),
                layers: layers.map(|layer| layer.name().to_owned()).collect(),
            },
            None,
        );
        let build_id = BUILD_ID.to_owned();
        assert_eq!(dialer.hear(), FromDialer::Ready { build_id });
        dialer
    }

    fn tell(&self, frame: &ToDialer, socket: Option<&OwnedFd>) {
        let sockets: Vec<_> = socket.into_iter().map(AsFd::as_fd).collect();
        fds::send(self.socket.as_fd(), &encode(frame).unwrap(), &sockets).unwrap();
    }

    fn hear(&self) -> FromDialer {
        let mut buffer = [0; 4096];
        let packet = fds::recv(self.socket.as_fd(), &mut buffer, 0).unwrap();
        decode(&buffer[..packet.len]).unwrap()
    }

    fn relay(&self, relay: u32) -> Relay {
        let (ours, theirs) = pair();
        self.tell(&ToDialer::Relay { relay }, Some(&theirs));
        Relay(ours)
    }

    fn status(&self, key: &str) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let status = |task: fs::DirEntry| {
            let text = fs::read_to_string(task.path().join("status")).unwrap();
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        tasks.map(|task| status(task.unwrap())).collect()
    }

    /// Closes its socket; gives its status and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.socket);
        let mut said = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.process.wait().unwrap().code(), said)
    }
}

// === impl Relay ===

impl Relay {
    fn ask(&self, turn: u64, endpoint: &str, timeout_ms: u32) {
        let endpoint = endpoint.to_owned();
        let dial = Dial {
            turn,
            endpoint,
            timeout_ms,
        };
        fds::send(self.0.as_fd(), &encode(&dial).unwrap(), &[]).unwrap();
    }

    fn hear(&self) -> (u64, Result<TcpStream, DialFailure>) {
        let mut buffer = [0; 256];
        let packet = fds::recv(self.0.as_fd(), &mut buffer, 1).unwrap();
        let Dialed { turn, result } = decode(&buffer[..packet.len]).unwrap();
        let socket = packet.fds.into_iter().next();
        assert_eq!(socket.is_some(), result.is_ok());
        (turn, result.map(|()| socket.unwrap().into()))
    }

    fn dial(&self, endpoint: &str) -> Result<TcpStream, DialFailure> {
        self.ask(7, endpoint, LONG_MS);
        let (turn, result) = self.hear();
        assert_eq!(turn, 7);
        result
    }

    fn is_closed(&self) -> bool {
        let mut buffer = [0; 256];
        loop {
            match fds::recv(self.0.as_fd(), &mut buffer, 1) {
                Ok(packet) if packet.len == 0 => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn an_allowed_endpoint_is_connected_to_and_its_bytes_are_the_relay_s() {
    let (listener, port) = listener();
    let (address, name) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    let dialer = Dialer::start(&[&address, &name]);
    let relay = dialer.relay(1);
    for endpoint in [&address, &name] {
        let mut here = relay.dial(endpoint).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        there.write_all(b"hello").unwrap();
        here.set_nonblocking(false).unwrap();
        let mut read = [0; 5];
        here.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"hello");
        assert!(here.nodelay().unwrap());
    }
    assert_eq!(dialer.end(), (Some(0), String::new()));
}

#[test]
fn what_is_not_on_the_list_is_not_dialed_however_it_is_written() {
    let (listener, port) = listener();
    listener.set_nonblocking(true).unwrap();
    let dialer = Dialer::start(&[&format!("localhost:{port}")]);
    let relay = dialer.relay(1);
    for other in [
        format!("127.0.0.1:{port}"),
        format!("127.1:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("localhost.:{port}"),
        format!("localhost:{}", port.wrapping_add(1).max(1)),
        format!("localhost:0{port}"),
        format!("localhost:{port} "),
        format!("localhost:{port}\0"),
        "localhost".to_owned(),
        String::new(),
        "/etc/passwd".to_owned(),
    ] {
        let refused = relay.dial(&other).map(drop);
        assert_eq!(refused, Err(DialFailure::NotAllowed), "{other:?}");
    }
    assert!(listener.accept().is_err(), "somebody was let through");
    assert!(relay.dial(&format!("localhost:{port}")).is_ok());
}

#[test]
fn nobody_there_and_names_without_addresses_are_typed() {
    let (gone, port) = listener();
    drop(gone);
    let (address, name) = (format!("127.0.0.1:{port}"), "nobody.invalid:1");
    let dialer = Dialer::start(&[&address, name]);
    let relay = dialer.relay(1);
    assert_eq!(relay.dial(&address).map(drop), Err(DialFailure::Refused));
    assert_eq!(relay.dial(name).map(drop), Err(DialFailure::NoAddress));
}

#[test]
fn an_endpoint_that_does_not_answer_ends_in_its_time_and_keeps_nobody_waiting() {
    let (_full, _kept, port) = silent();
    let silent = format!("127.0.0.1:{port}");
    let (_listener, port) = listener();
    let answers = format!("127.0.0.1:{port}");
    let dialer = Dialer::start(&[&silent, &answers]);
    let relay = dialer.relay(1);
    relay.ask(7, &silent, 300);
    assert_eq!(relay.hear().1.map(drop), Err(DialFailure::Late));
    relay.ask(100, &silent, 20_000);
    relay.ask(101, &answers, LONG_MS);
    let (turn, result) = relay.hear();
    assert!(turn == 101 && result.is_ok(), "{turn}: {result:?}");
}

/// A port whose queue is full: who connects now hears nothing. As long as what is given lives.
fn silent() -> (TcpListener, Vec<TcpStream>, u16) {
    let full = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::empty(),
        None,
    )
    .unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    let any = nix::sys::socket::SockaddrStorage::from(any);
    nix::sys::socket::bind(std::os::fd::AsRawFd::as_raw_fd(&full), &any).unwrap();
    let none = nix::sys::socket::Backlog::new(0).unwrap();
    nix::sys::socket::listen(&full, none).unwrap();
    let full = TcpListener::from(full);
    let address = full.local_addr().unwrap();
    let mut kept = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        kept.push(stream);
        assert!(kept.len() < 100, "a queue without an end");
    }
    (full, kept, address.port())
}

/// Has as many connections under way as it may, and knows that.
fn dials(relay: &Relay, endpoint: &str) {
    for turn in 0..9 {
        relay.ask(turn, endpoint, LONG_MS);
    }
    assert_eq!(relay.hear().1.map(drop), Err(DialFailure::Busy));
}

#[test]
fn a_name_that_does_not_answer_leaves_names_to_others() {
    let (_full, _kept, port) = silent();
    let silent = format!("localhost:{port}");
    let (_listener, port) = listener();
    let answers = format!("localhost:{port}");
    let dialer = Dialer::start(&[&silent, &answers]);
    let (one, other) = (dialer.relay(1), dialer.relay(2));
    dials(&one, &silent);
    std::thread::sleep(Duration::from_millis(100));
    assert!(other.dial(&answers).is_ok());
}

#[test]
fn relays_that_want_much_leave_threads_to_others() {
    let (_full, _kept, port) = silent();
    let silent = format!("127.0.0.1:{port}");
    let (_listener, port) = listener();
    let answers = format!("127.0.0.1:{port}");
    let dialer = Dialer::start(&[&silent, &answers]);
    let greedy: Vec<Relay> = (1..=3).map(|number| dialer.relay(number)).collect();
    for one in &greedy {
        dials(one, &silent);
    }
    std::thread::sleep(Duration::from_millis(100));
    assert!(dialer.relay(4).dial(&answers).is_ok());
}

#[test]
fn who_asks_for_too_many_is_told_so_and_who_takes_no_answers_is_cut_off() {
    let (_listener, port) = listener();
    let address = format!("127.0.0.1:{port}");
    let dialer = Dialer::start(&[&address, "192.0.2.1:1"]);
    let (flood, other) = (dialer.relay(1), dialer.relay(2));
    for turn in 0..40 {
        flood.ask(turn, "192.0.2.1:1", LONG_MS);
    }
    // Eight of one relay may be under way; the rest is answered at once, unless the way there is closed altogether.
    let first = flood.hear().1.map(drop).unwrap_err();
    assert!(
        matches!(first, DialFailure::Busy | DialFailure::Refused),
        "{first:?}"
    );
    // The next relay has its turn while the flood is under way.
    let mut floods = flood;
    let sent = floods.flood();
    assert!(sent > 0);
    assert!(floods.is_closed());
    assert!(matches!(dialer.hear(), FromDialer::Closed { relay: 1, why } if !why.is_empty()));
    let answered = other.dial(&address).map(drop);
    assert!(
        matches!(answered, Ok(()) | Err(DialFailure::Busy)),
        "{answered:?}"
    );
}

impl Relay {
    /// Asks until nothing more is taken, and reads no answer; gives how often that was.
    fn flood(&mut self) -> usize {
        let dial = Dial {
            turn: 1,
            endpoint: "nowhere.example:1".to_owned(),
            timeout_ms: 1,
        };
        let frame = encode(&dial).unwrap();
        setsockopt(&self.0, sockopt::SendTimeout, &TimeVal::new(PATIENCE_S, 0)).unwrap();
        let sent = (0..1_000_000).take_while(|_| fds::send(self.0.as_fd(), &frame, &[]).is_ok());
        sent.count()
    }
}

#[test]
fn a_relay_that_breaks_the_protocol_is_cut_off_and_the_others_are_not() {
    let (_listener, port) = listener();
    let address = format!("127.0.0.1:{port}");
    let dialer = Dialer::start(&[&address]);
    for (number, bytes) in [(1, vec![0xff; 100]), (2, vec![0; 5000]), (3, vec![1])] {
        let wrong = dialer.relay(number);
        fds::send(wrong.0.as_fd(), &bytes, &[]).unwrap();
        assert!(wrong.is_closed());
        let told = dialer.hear();
        assert!(
            matches!(&told, FromDialer::Closed { relay, why } if *relay == number && !why.is_empty()),
            "{told:?}"
        );
    }
    let leaves = dialer.relay(4);
    drop(leaves);
    let why = String::new();
    assert_eq!(dialer.hear(), FromDialer::Closed { relay: 4, why });
    assert!(dialer.relay(5).dial(&address).is_ok());
}

#[test]
fn it_is_jailed_in_every_thread_before_it_hears_a_relay() {
    let dialer = Dialer::start(&["localhost:1", "10.0.0.1:2"]);
    let threads = dialer.status("Seccomp:").len();
    assert_eq!(threads, 17, "the one that listens, and those that dial");
    assert_eq!(dialer.status("Seccomp:"), vec!["2"; threads]);
    assert_eq!(dialer.status("NoNewPrivs:"), vec!["1"; threads]);
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
        assert_eq!(
            dialer.status(set),
            vec!["0000000000000000"; threads],
            "{set}"
        );
    }
}

#[test]
fn one_that_is_not_started_by_the_daemon_s_build_says_so() {
    let dialer = Dialer::begin();
    let allow = ToDialer::Allow {
        build_id: "another".to_owned(),
        endpoints: Vec::new(),
        layers: Vec::new(),
    };
    dialer.tell(&allow, None);
    let (code, said) = dialer.end();
    assert_eq!(code, Some(76));
    assert!(said.contains("another"), "{said}");
}
