//! What a program says to the service manager that started it, and gets from it: states (sd_notify), the
//! watchdog's interval, listening sockets (LISTEN_FDS), and lines as the journal reads them.
//!
//! It knows systemd's protocols (`sd_notify(3)`, `sd_listen_fds(3)`, `sd-daemon(3)`, as of systemd 252) and nothing
//! of what the program does. Started by anything else, a program that uses it behaves as if this were not there.

mod inherit;
mod journal;
mod notify;

pub use inherit::{InheritError, Inherited, inherited};
pub use journal::{JournalLines, stderr_is_journal};
pub use notify::{Notifier, NotifySocket, watchdog};
