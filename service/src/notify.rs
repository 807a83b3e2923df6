//! States, told to the service manager: ready, reloading, stopping, alive. Telling is best effort, and holds nobody up: a
//! thread of its own waits for a manager that does not read, and what is too much meanwhile is dropped.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

/// Messages that wait for a manager that does not read.
const MESSAGES_MAX: usize = 16;

/// How long the end of the program waits for the last of them.
const LAST_WAIT: Duration = Duration::from_millis(200);

/// A socket to tell the service manager by, where the environment names one: made while a program may still make sockets.
#[derive(Debug)]
pub struct NotifySocket(Option<(UnixDatagram, SocketAddr)>);

/// The way to the service manager; silent where there is none.
#[derive(Clone, Debug)]
pub struct Notifier(Option<SyncSender<Message>>);

#[derive(Debug)]
enum Message {
    /// As `sd_notify(3)` wants it.
    States(String),
    /// Answered once all before it is told.
    Last(SyncSender<()>),
}

/// How often the service manager wants to hear [`Notifier::alive`] at the least (`WatchdogSec=`); `None` where it does
/// not ask this process.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

// === impl NotifySocket ===

impl NotifySocket {
    /// What the environment says (`NOTIFY_SOCKET`): a path, or after `@` an abstract name.
    ///
    /// # Errors
    /// When there is no socket to be had, or that is the name of none.
    pub fn from_env() -> io::Result<Self> {
        let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let Some(name) = name else {
            return Ok(Self(None));
        };
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&name)?,
        };
        Ok(Self(Some((UnixDatagram::unbound()?, address))))
    }

    /// Whether it is a socket without a file.
    #[must_use]
    pub fn is_abstract(&self) -> bool {
        let address = self.0.as_ref().map(|(_, address)| address);
        address.is_some_and(|address| address.as_abstract_name().is_some())
    }

    /// Starts the thread that tells, if there is anybody to tell.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self) -> io::Result<Notifier> {
        let Some((socket, address)) = self.0 else {
            return Ok(Notifier(None));
        };
        let (sender, messages) = sync_channel(MESSAGES_MAX);
        let thread = thread::Builder::new().name("notify".to_owned());
        thread.spawn(move || pass_on(&messages, &socket, &address))?;
        Ok(Notifier(Some(sender)))
    }
}

// === impl Notifier ===

impl Notifier {
    /// What the environment says (`NOTIFY_SOCKET`). Where it names a manager, this starts a thread.
    ///
    /// # Errors
    /// When there is no socket or thread to be had, or the environment names no Unix socket.
    pub fn from_env() -> io::Result<Self> {
        NotifySocket::from_env()?.start()
    }

    /// The start goes on, and takes so long again at the most.
    pub fn starting(&self, at_most: Duration) {
        let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
    }

    /// The program serves, after its start or after a reload.
    pub fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
    }

    /// One line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.tell(&[NotifyState::Status(&line(status))]);
    }

    /// The configuration is being read anew; [`Notifier::ready`] ends that, however it went.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!("no time to tell the service manager: {error}"),
        }
    }

    /// The program is about to end.
    pub fn stopping(&self, status: &str) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status(&line(status))]);
    }

    /// The program has just looked whether it can do its work, and can.
    pub fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// Waits until everything is told, for 200 ms at most: for the end of the program.
    pub fn flush(&self) {
        let (told, wait) = sync_channel(1);
        if let Some(sender) = &self.0
            && sender.try_send(Message::Last(told)).is_ok()
        {
            let _ = wait.recv_timeout(LAST_WAIT);
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(sender) = &self.0 else { return };
        let text: Vec<String> = states.iter().map(ToString::to_string).collect();
        if sender.try_send(Message::States(text.join("\n"))).is_err() {
            tracing::debug!("the service manager does not listen");
        }
    }
}

fn pass_on(messages: &Receiver<Message>, socket: &UnixDatagram, address: &SocketAddr) {
    for message in messages {
        match message {
            Message::States(text) => {
                // To the address each time: a manager that has been replaced listens at the same one.
                if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
                    tracing::debug!("the service manager cannot be told: {error}");
                }
            }
            // Nobody may be waiting any more.
            Message::Last(told) => drop(told.try_send(())),
        }
    }
}

/// A newline would begin another state.
fn line(status: &str) -> String {
    status.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_many_lines_cannot_say_something_else() {
        assert_eq!(line("a\nREADY=1"), "a READY=1");
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        let notifier = Notifier(None);
        notifier.ready("serving");
        notifier.alive();
        notifier.flush();
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let (sender, _messages) = sync_channel(MESSAGES_MAX);
        let notifier = Notifier(Some(sender));
        for _ in 0..10 * MESSAGES_MAX {
            notifier.alive();
        }
        notifier.flush();
    }
}
