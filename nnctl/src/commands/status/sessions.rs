//! Sessions as `nnctl status` tells them.

use nn_proto::v1;
use serde::Serialize;

use crate::output::{Table, bytes, micros, printable};

/// One.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    tenant: String,
    peer_pid: u32,
    peer_uid: u32,
    /// Of a client over TCP.
    peer_address: String,
    in_flight: u32,
    arena_bytes: u64,
    graphs: u32,
    age_us: u64,
}

/// A row for each.
pub(super) fn table(sessions: &[Session]) -> Table {
    let mut table = Table::new(&[
        "SESSION OF",
        "PID",
        "UID",
        "IN FLIGHT",
        "GRAPHS",
        "ARENAS",
        "AGE",
    ]);
    for session in sessions {
        let (pid, uid) = session.peer();
        table.row([
            session.tenant.clone(),
            pid,
            uid,
            session.in_flight.to_string(),
            session.graphs.to_string(),
            bytes(session.arena_bytes),
            micros(session.age_us),
        ]);
    }
    table
}

// === impl Session ===

impl Session {
    /// Whose process it is: a client over TCP has an address in the place of a uid, and no process that is known.
    fn peer(&self) -> (String, String) {
        if self.peer_address.is_empty() {
            return (self.peer_pid.to_string(), self.peer_uid.to_string());
        }
        ("-".to_owned(), printable(&self.peer_address))
    }
}

impl From<v1::SessionStatus> for Session {
    fn from(session: v1::SessionStatus) -> Self {
        Self {
            tenant: session.tenant,
            peer_pid: session.peer_pid,
            peer_uid: session.peer_uid,
            peer_address: session.peer_address,
            in_flight: session.in_flight,
            arena_bytes: session.arena_bytes,
            graphs: session.graphs,
            age_us: session.age_us,
        }
    }
}
