//! What is tried (`attempts.txt`), and what there is to be reached outside.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};

use nn_tests::{Bystander, Jailer};

use crate::probe::{BUDGET, Outcome, SIGSYS};
use crate::profile::number;

const TABLE: &str = include_str!("attempts.txt");

/// Beyond the memory budget of these jails.
const MEAL: u64 = 2 * BUDGET;

/// One attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Its row of the list of escapes.
    pub(crate) row: &'static str,
    /// In words.
    pub(crate) what: &'static str,
    pub(crate) script: String,
    /// By which of these the kernel refuses it in a sealed worker; by none: it dies there.
    errnos: Vec<&'static str>,
}

/// Processes, and sockets that somebody listens on. All of it is real, so that an attempt that fails, fails by
/// the walls.
#[derive(Debug)]
pub(crate) struct Scene {
    bystander: Bystander,
    spawner: u32,
    tcp: TcpListener,
    udp: UdpSocket,
    path: Vec<u8>,
    name: Vec<u8>,
    _listeners: [UnixListener; 2],
}

/// What no limit of a worker counts.
pub(crate) fn uncounted() -> [(&'static str, String); 2] {
    [
        (
            "the first thread's stack, made larger",
            format!("eat moved {MEAL}"),
        ),
        (
            "page tables for memory that is only read",
            format!("eat tables {MEAL}"),
        ),
    ]
}

/// A socket's address as bytes, and their number.
fn bytes(parts: &[&[u8]]) -> String {
    let bytes = parts.concat();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x:{hex} {}", bytes.len())
}

fn inet(address: std::io::Result<SocketAddr>) -> String {
    let port = address.expect("an address").port().to_be_bytes();
    bytes(&[&[2, 0], &port, &[127, 0, 0, 1], &[0; 8]])
}

/// A step with the call's number instead of its name.
fn numbered(step: &str) -> String {
    let words: Vec<&str> = step.split_ascii_whitespace().collect();
    match words.as_slice() {
        [verb @ ("call" | "child"), name, args @ ..] if name.starts_with(char::is_alphabetic) => {
            format!("{verb} {} {}", number(name), args.join(" "))
        }
        other => other.join(" "),
    }
}

// === impl Attempt ===

impl Attempt {
    /// `None` for one of another architecture.
    fn read(line: &'static str, names: &[(&str, String)]) -> Option<Self> {
        let (row, rest) = line.split_once(' ').expect("a row");
        let (what, script) = rest.split_once(" => ").expect("words, and a script");
        let what = match what.strip_prefix("x86_64 ") {
            Some(_) if !cfg!(target_arch = "x86_64") => return None,
            Some(what) => what,
            None => what,
        };
        let (script, errnos) = script.split_once(" ! ").unwrap_or((script, ""));
        let mut steps = script
            .split('|')
            .map(numbered)
            .collect::<Vec<_>>()
            .join(" | ");
        for (name, value) in names {
            steps = steps.replace(name, value);
        }
        Some(Self {
            row,
            what,
            script: steps,
            errnos: errnos.split_ascii_whitespace().collect(),
        })
    }

    /// Whether it ended as it must in a sealed worker.
    pub(crate) fn is_stopped(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Refused(_) => self.errnos.contains(&outcome.to_string().as_str()),
            Outcome::Killed(signal) => *signal == SIGSYS && self.errnos.is_empty(),
            Outcome::Allowed | Outcome::Exited(_) => false,
        }
    }
}

// === impl Scene ===

impl Scene {
    /// Sets it up where this jailer's user reaches it.
    pub(crate) fn new(jailer: &Jailer) -> Self {
        let path = jailer.folder().join("socket");
        let listener = UnixListener::bind(&path).expect("a socket");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("its mode");
        let name = format!("nn-probe-{}", jailer.pid());
        let address = UnixAddress::from_abstract_name(&name).expect("a name");
        let by_name = UnixListener::bind_addr(&address).expect("an abstract socket");
        Self {
            bystander: jailer.bystander(),
            spawner: jailer.pid(),
            tcp: TcpListener::bind("127.0.0.1:0").expect("a port"),
            udp: UdpSocket::bind("127.0.0.1:0").expect("a port"),
            path: path.as_os_str().as_bytes().to_vec(),
            name: name.into_bytes(),
            _listeners: [listener, by_name],
        }
    }

    /// Everything that is tried.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        let pid = self.bystander.pid();
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let data = maps.lines().find(|line| line.contains(" rw-p "));
        let (address, _) = data.and_then(|line| line.split_once('-')).expect("data");
        let names = [
            ("{pid}", pid.to_string()),
            ("{spawner}", self.spawner.to_string()),
            ("{address}", format!("0x{address}")),
            ("{tcp}", inet(self.tcp.local_addr())),
            ("{udp}", inet(self.udp.local_addr())),
            ("{path}", bytes(&[&[1, 0], &self.path, &[0]])),
            ("{name}", bytes(&[&[1, 0, 0], &self.name])),
            ("{meal}", MEAL.to_string()),
        ];
        let lines = TABLE.lines().filter(|line| line.starts_with("E-"));
        lines
            .filter_map(|line| Attempt::read(line, &names))
            .collect()
    }
}
