//! `nn-host serve` as a process of the test's own.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::paths::{guest_wasm, program};
use crate::proc::{is_running, kill, send, wait_until};
use crate::reply::{Begun, Reply};
use crate::run::{command, prepared};

/// Compiling a guest on a busy machine.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);

/// No answer takes longer.
const ANSWER: Duration = Duration::from_secs(40);

/// Runs the host in the shell's place, with the shell's standard input as the inherited socket.
const SCRIPT: &str = r#"exec 3<&0 </dev/null
LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http exec "$0" "$@""#;

/// How it is to be started.
#[derive(Debug, Default)]
pub struct HttpHostBuilder {
    socket: Option<PathBuf>,
    top: String,
    limits: String,
    sections: String,
    environment: Vec<(&'static str, String)>,
    listener: Option<TcpListener>,
}

/// A running `nn-host serve`.
#[derive(Debug)]
pub struct HttpHost {
    dir: TempDir,
    child: Child,
    address: SocketAddr,
}

impl HttpHostBuilder {
    /// Infers through the daemon behind this socket.
    #[must_use]
    pub fn with_socket(mut self, socket: PathBuf) -> Self {
        self.socket = Some(socket);
        self
    }

    /// Adds a line to the top of the configuration file.
    #[must_use]
    pub fn with_top(mut self, line: &str) -> Self {
        self.top = format!("{}{line}\n", self.top);
        self
    }

    /// Adds a line to `[limits]`.
    #[must_use]
    pub fn with_limit(mut self, line: &str) -> Self {
        self.limits = format!("{}{line}\n", self.limits);
        self
    }

    /// Adds sections to the configuration file.
    #[must_use]
    pub fn with_sections(mut self, text: &str) -> Self {
        self.sections.push_str(text);
        self
    }

    /// Sets a variable in its environment.
    #[must_use]
    pub fn with_env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Hands it a socket that listens already, as a service manager does.
    #[must_use]
    pub fn with_listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Starts it with one of the guests that are checked in, and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start(self, guest: &str) -> HttpHost {
        let component = format!("component = {:?}", guest_wasm(guest));
        self.with_top(&component).start_routes()
    }

    /// Starts it with the routes that are among its sections, and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start_routes(self) -> HttpHost {
        let mut host = self.spawn();
        host.wait_serving();
        host
    }

    /// Starts it and waits for nothing.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(self) -> HttpHost {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let socket = self.socket.unwrap_or_else(|| dir.path().join("none.sock"));
        let config = format!(
            "listen = \"127.0.0.1:0\"\nsocket = {socket:?}\n{}[limits]\n{}{}",
            self.top, self.limits, self.sections,
        );
        let file = dir.path().join("site.toml");
        fs::write(&file, config).expect("a file in there");
        let log = File::create(dir.path().join("log")).expect("a log file");
        let mut command = match self.listener {
            None => command("nn-host"),
            Some(listener) => inheriting(&listener).expect("a socket to pass"),
        };
        command.arg("serve").arg("--config").arg(file);
        command.envs(self.environment);
        let stdout = File::create(dir.path().join("stdout")).expect("a file in there");
        let child = command.stdout(stdout).stderr(log).spawn();
        let child = child.expect("nn-host starts");
        HttpHost {
            dir,
            child,
            address: ([0, 0, 0, 0], 0).into(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program under test")]
fn inheriting(listener: &TcpListener) -> io::Result<Command> {
    let copy: OwnedFd = listener.as_fd().try_clone_to_owned()?;
    let mut shell = prepared(Command::new("sh"));
    shell.arg("-c").arg(SCRIPT).arg(program("nn-host"));
    shell.stdin(Stdio::from(copy));
    Ok(shell)
}

// === impl HttpHost ===

impl HttpHost {
    /// One with the tests' own guest, away from any daemon.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start("http-cases")
    }

    /// Another way to start one.
    #[must_use]
    pub fn builder() -> HttpHostBuilder {
        HttpHostBuilder::default()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.read("log")
    }

    /// Everything that it has printed so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// Waits for something in the log.
    ///
    /// # Panics
    /// When it does not come.
    pub fn wait_log(&self, what: &str) {
        wait_until(what, START, || self.log().contains(what));
    }

    /// A request of one piece, and its answer.
    #[must_use]
    pub fn request(&self, method: &str, target: &str, body: &[u8]) -> Reply {
        self.begin(method, target, body).finish()
    }

    /// GET without a body.
    #[must_use]
    pub fn get(&self, target: &str) -> Reply {
        self.request("GET", target, b"")
    }

    /// A request whose answer is awaited later.
    ///
    /// # Panics
    /// When there is no connection.
    #[must_use]
    pub fn begin(&self, method: &str, target: &str, body: &[u8]) -> Begun {
        let mut begun = self.connect();
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        begun.send(head.as_bytes());
        begun.send(body);
        begun
    }

    /// A connection, with nothing sent yet.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn connect(&self) -> Begun {
        let stream = TcpStream::connect(self.address).expect("it listens");
        let bounded = stream.set_read_timeout(Some(ANSWER));
        bounded.expect("a time above zero");
        Begun::over(stream)
    }

    /// Asks it to end by SIGTERM.
    pub fn ask_to_end(&self) {
        send(self.pid(), Signal::SIGTERM);
    }

    /// Replaces a part of its configuration file, and has it read again (SIGHUP). Another one than the last must be
    /// awaited in the log.
    ///
    /// # Panics
    /// When that part is not in there.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let path = self.dir.path().join("site.toml");
        let text = fs::read_to_string(&path).expect("its file");
        assert!(text.contains(from), "{from:?} is not in {text}");
        fs::write(&path, text.replace(from, to)).expect("its file");
        send(self.pid(), Signal::SIGHUP);
    }

    /// How often something is in the log.
    #[must_use]
    pub fn times_logged(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// Waits for its end; gives its exit code.
    pub fn wait_end(&mut self) -> Option<i32> {
        wait_until("nn-host ends", STOP, || !is_running(self.pid()));
        self.child.wait().ok()?.code()
    }

    /// Waits until it serves.
    ///
    /// # Panics
    /// When it ends, or takes too long.
    pub fn wait_serving(&mut self) {
        const SERVING: &str = " on http://";
        wait_until("nn-host serves", START, || {
            let ended = self.child.try_wait().ok().flatten();
            assert!(ended.is_none(), "it ended: {ended:?}\n{}", self.log());
            self.log().contains(SERVING)
        });
        let log = self.log();
        let (_, rest) = log.split_once(SERVING).expect("it was just there");
        let address = rest.lines().next().unwrap_or_default();
        self.address = address.trim().parse().expect("an address");
    }
}

impl Drop for HttpHost {
    #[expect(clippy::print_stdout, reason = "a failed test shows its host's log")]
    fn drop(&mut self) {
        kill(self.pid());
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- nn-host's log ---\n{}", self.log());
        }
    }
}

/// Runs `nn-host serve` to its end, which it is expected to come to by itself.
#[must_use]
pub fn serve_and_end(args: &[&str]) -> crate::Output {
    crate::run("nn-host", &[&["serve"], args].concat())
}

/// What a test posts as a picture: a cup of coffee.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn coffee() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../guests/assets/coffee.jpg");
    fs::read(path).expect("a picture that is checked in")
}
