//! What the dialer's jail leaves: a process of these tests is started again, jails itself as the dialer does, and does what
//! it should not.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy takes for production code"
)]

use std::fs::File;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};

use nn_dialer::{Allowed, jail};
use nn_sandbox::{Facts, Layer, OwnPlan, OwnProfile};

/// Set in a process that was started again: the port that is allowed, and one that is not.
const PORTS: &str = "NN_DIALER_TEST_PORTS";

/// How the kernel ends a process for a call that its filter does not allow.
const SIGSYS: i32 = 31;

/// This test again, in a process of its own.
fn again(test: &str, ports: &str) -> Output {
    let own = std::env::current_exe().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the process under test")]
    let mut command = Command::new(own);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(PORTS, ports).output().unwrap()
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Jails this process; the ports that it was told of, and whether there is Landlock.
fn jailed() -> Option<(u16, u16, bool)> {
    let ports = std::env::var(PORTS).ok()?;
    let (allowed, other) = ports.split_once(',').unwrap();
    let endpoints = [format!("127.0.0.1:{allowed}")];
    let plan = OwnPlan::new(OwnProfile::named("dialer").unwrap(), &Facts::read());
    let layers = plan.active().into_iter();
    let layers: Vec<String> = layers.map(|layer| layer.name().to_owned()).collect();
    jail::enter(&Allowed::new(&endpoints).unwrap(), &layers).unwrap();
    let landlock = plan.active().contains(&Layer::Landlock);
    Some((allowed.parse().unwrap(), other.parse().unwrap(), landlock))
}

#[test]
fn files_but_the_resolver_s_and_ports_but_the_list_s_are_refused_and_listening_is_the_end() {
    let test =
        "files_but_the_resolver_s_and_ports_but_the_list_s_are_refused_and_listening_is_the_end";
    let Some((allowed, other, landlock)) = jailed() else {
        let ((_one, allowed), (_two, other)) = (listener(), listener());
        let output = again(test, &format!("{allowed},{other}"));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("all as it should be"), "{text}");
        assert_eq!(output.status.signal(), Some(SIGSYS), "{text}");
        return;
    };
    let refused = |kind: Option<ErrorKind>| kind == Some(ErrorKind::PermissionDenied) || !landlock;
    // Opened as a resolver does: to ask for a file's size first is a call that the filter does not have.
    assert!(File::open("/etc/hosts").is_ok());
    for file in ["/etc/passwd", "/proc/self/environ", "/etc/ssl/openssl.cnf"] {
        let kind = File::open(file).err().map(|error| error.kind());
        assert!(
            refused(kind) || kind == Some(ErrorKind::NotFound),
            "{file}: {kind:?}"
        );
    }
    assert!(TcpStream::connect(("127.0.0.1", allowed)).is_ok());
    let kind = TcpStream::connect(("127.0.0.1", other)).err();
    assert!(refused(kind.map(|error| error.kind())));
    eprintln!("all as it should be");
    let _ = TcpListener::bind("127.0.0.1:0");
    eprintln!("lived on");
}

#[test]
fn starting_a_program_is_the_end() {
    let test = "starting_a_program_is_the_end";
    if jailed().is_none() {
        let output = again(test, "1,2");
        assert_eq!(output.status.signal(), Some(SIGSYS));
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "what is forbidden")]
    let _ = Command::new("/bin/true").status();
}
