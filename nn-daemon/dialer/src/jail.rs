//! The dialer's own jail, as profile `dialer` says. In this order: a name is looked up, for the C library to have loaded
//! what it looks names up by; files and ports are walled off, and capabilities given up, while there is one thread; the
//! threads are started; and the filter comes over all of them.

use std::fs;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};

use nn_sandbox::{Layer, OwnAsk, OwnProfile, OwnStep, enter as apply, own_steps};

use crate::pool::Pool;
use crate::{Allowed, Exit};

/// Its name among the profiles.
const PROFILE: &str = "dialer";

/// What the C library reads whenever it looks up a name.
const FILES: [&str; 5] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
];

/// DNS over TCP, where an answer is too long for a datagram.
const DNS_PORT: u16 = 53;

/// A name that nobody has: all that could know it is asked, and so loaded.
const UNKNOWN: (&str, u16) = ("nn-dialer.invalid", 1);

/// Puts it up, with these layers, and starts the threads in it. Of a process with one thread.
///
/// # Errors
/// At the first step that fails. The process must then end: some of its walls are up, not all.
pub fn enter(allowed: &Allowed, layers: &[String]) -> Result<Pool, Exit> {
    let unknown = |what: &str| Exit::Protocol(format!("no profile or layer is called {what:?}"));
    let profile = OwnProfile::named(PROFILE).ok_or_else(|| unknown(PROFILE))?;
    let layers = layers.iter();
    let layers = layers.map(|name| Layer::named(name).ok_or_else(|| unknown(name)));
    let layers: Vec<Layer> = layers.collect::<Result<_, _>>()?;
    let mut ports = allowed.ports();
    if allowed.has_names() {
        // Nothing is made of what comes.
        let _ = UNKNOWN.to_socket_addrs();
        ports.push(DNS_PORT);
    }
    let ask = OwnAsk {
        places: vec![(
            "resolver",
            FILES.iter().filter_map(|file| place(file)).collect(),
        )],
        tcp_connect: ports,
        // A resolver of the machine's may be asked so.
        abstract_sockets: false,
        privileged: false,
    };
    let steps = own_steps(profile, &layers, &ask);
    let is_filter = |step: &OwnStep| matches!(step, OwnStep::Answers(_) | OwnStep::Seccomp(_));
    let (filters, walls): (Vec<OwnStep>, Vec<OwnStep>) = steps.into_iter().partition(is_filter);
    apply(&walls)?;
    let pool = Pool::start().map_err(|error| Exit::System("starting threads", error))?;
    apply(&filters)?;
    Ok(pool)
}

/// The file; or the directory of what it is a link to, where that is one for such files alone: it is replaced there, and
/// not changed.
fn place(file: &str) -> Option<PathBuf> {
    let file = Path::new(file);
    let real = fs::canonicalize(file).ok()?;
    let folder = real.parent()?;
    let is_own = file.parent() != Some(folder) && folder.components().count() > 3;
    Some(if is_own { folder.to_owned() } else { real })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_etc_is_that_file_alone() {
        // Whatever machine this is, it has that one.
        let place = place("/etc/passwd").unwrap();
        assert!(place.ends_with("passwd"), "{}", place.display());
        assert_eq!(super::place("/etc/no-such-file"), None);
    }
}
