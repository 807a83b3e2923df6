//! The two sockets, who may use them, and whether a daemon is behind them. Pure.

use nn_proto::v1;

use super::facts::{Answer, Door, Facts, Knock, Me, Named, Service, Socket, SocketFile};
use super::finding::Finding;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let door = &facts.door;
    let path = format!("{}: {}", door.grpc.path.display(), door.because);
    let start = start_advice(&facts.service);
    let mut found = vec![
        Finding::ok("sockets.path", path),
        socket("sockets.grpc", &door.grpc, start),
        socket("sockets.fd", &door.fd, start),
    ];
    found.extend(mode(&door.grpc));
    found.push(answer(facts));
    found.push(connect(&facts.me, door));
    found.push(administer(facts));
    found.extend(tenants(facts));
    found
}

fn start_advice(service: &Service) -> &'static str {
    match service {
        Service::Units { service, .. } if service.load != "not-found" => {
            "systemctl start nn-daemon.socket nn-daemon.service"
        }
        _ => "start nn-daemon; or is another socket meant? --socket, NN_SOCKET",
    }
}

fn socket(id: &str, socket: &Socket, start: &str) -> Finding {
    let path = socket.path.display();
    let (owner, group, mode, knock) = match &socket.file {
        SocketFile::Absent => {
            return Finding::problem(id, format!("{path} is not there"), start);
        }
        SocketFile::Hidden => {
            return Finding::unknown(
                id,
                format!("{path} is in a directory that this user may not enter"),
            );
        }
        SocketFile::Other => {
            return Finding::problem(
                id,
                format!("{path} is no socket"),
                "remove it, then start nn-daemon again",
            );
        }
        SocketFile::Failed(why) => {
            return Finding::unknown(id, format!("{path} cannot be looked at: {why}"));
        }
        SocketFile::Socket {
            owner,
            group,
            mode,
            knock,
            ..
        } => (owner, group, mode, knock),
    };
    let found = format!("{}:{} {mode:04o}", owner.name, group.name);
    match knock {
        Knock::Accepted => Finding::ok(id, format!("{found}, accepts connections")),
        Knock::Denied => Finding::unknown(
            id,
            format!("{found}; whether anybody listens, only who may connect can tell"),
        ),
        Knock::Stale => Finding::problem(
            id,
            format!("{found}, but nobody listens: the daemon that made {path} has died"),
            format!("{start}; it replaces the file"),
        ),
        Knock::WrongKind => Finding::problem(
            id,
            format!("{found}, but of another kind than nn-daemon's"),
            "name nn-daemon's nn.sock by --socket or NN_SOCKET; its fd.sock lies beside it",
        ),
        Knock::Full => Finding::problem(
            id,
            format!(
                "{found}, but too many connections wait already: the daemon is stopped or overloaded"
            ),
            "the daemon's log tells more; if it hangs, start it again",
        ),
        Knock::Failed(why) => Finding::problem(
            id,
            format!("{found}, but it cannot be connected to: {why}"),
            start,
        ),
    }
}

/// Whoever can connect can infer for any tenant, unless `[tenants]` says otherwise.
fn mode(socket: &Socket) -> Option<Finding> {
    match &socket.file {
        SocketFile::Socket { mode, group, .. } if mode & 0o002 != 0 => Some(Finding::warning(
            "sockets.mode",
            format!("everybody on this machine may connect (mode {mode:04o})"),
            format!(
                "chmod 0660 {}, and put those who may infer into the group {}",
                socket.path.display(),
                group.name
            ),
        )),
        _ => None,
    }
}

fn answer(facts: &Facts) -> Finding {
    const ID: &str = "sockets.daemon";
    match &facts.answer {
        Answer::Status(status) => alive(ID, status),
        Answer::Refused => Finding::ok(
            ID,
            "a daemon answers, and does not tell this user of itself",
        ),
        Answer::None(why) => {
            if facts.door.sockets().any(Socket::is_denied) {
                return Finding::unknown(ID, "only who may connect can tell");
            }
            if !facts.door.grpc.is_open() {
                return Finding::unknown(ID, "there is nobody to ask");
            }
            Finding::problem(
                ID,
                format!("somebody listens, but no daemon answers: {why}"),
                "the daemon's log tells more; if it hangs, start it again",
            )
        }
    }
}

fn alive(id: &str, status: &v1::StatusResponse) -> Finding {
    let found = format!(
        "nn-daemon {}, pid {}, {}",
        status.version, status.pid, status.state
    );
    if status.state == "READY" {
        return Finding::ok(id, found);
    }
    Finding::warning(id, found, "it is ending; wait for it, or start it again")
}

fn connect(me: &Me, door: &Door) -> Finding {
    const ID: &str = "permissions.connect";
    let user = format!("{} (uid {})", me.name, me.uid);
    let Some(denied) = door.sockets().find(|socket| socket.is_denied()) else {
        let accepted = door.sockets().all(Socket::is_open);
        return if accepted {
            Finding::ok(ID, format!("{user} may connect"))
        } else {
            Finding::unknown(ID, format!("{user} has nothing to connect to"))
        };
    };
    let path = denied.path.display();
    let SocketFile::Socket { group, listed, .. } = &denied.file else {
        let dir = denied.path.parent().unwrap_or(&denied.path).display();
        return Finding::problem(
            ID,
            format!("{user} may not enter {dir}"),
            format!(
                "put the user into the group of that directory (`stat -c %G {dir}`; nn-clients, as installed), \
                 then log in again"
            ),
        );
    };
    let found = format!(
        "{user} may not connect to {path}, which belongs to the group {}",
        group.name
    );
    let advice = advice(me, group, *listed);
    Finding::problem(ID, found, advice)
}

fn advice(me: &Me, group: &Named, listed: bool) -> String {
    if me.gids.contains(&group.id) {
        return "the user is in that group: the mode of the socket, or of a directory above it, keeps it out"
            .to_owned();
    }
    if group.id == 0 {
        return "be root; or give the daemon's directory to a group of those who may infer, with the setgid bit, and \
                start it again (an installation's nn-daemon.socket does that, with the group nn-clients)"
            .to_owned();
    }
    if listed {
        return format!(
            "the user is in that group since the last login: log in again, or `newgrp {}`",
            group.name
        );
    }
    format!("usermod -aG {} {}, then log in again", group.name, me.name)
}

fn administer(facts: &Facts) -> Finding {
    const ID: &str = "permissions.administer";
    match &facts.answer {
        Answer::Status(_) => Finding::ok(ID, "this user may load, unload and ask for the status"),
        Answer::Refused => Finding::ok(
            ID,
            "load, unload and status need root or the daemon's user; this user is neither",
        ),
        Answer::None(_) if facts.me.uid == 0 => Finding::ok(ID, "root may, where a daemon runs"),
        Answer::None(_) => Finding::unknown(ID, "there is no daemon to ask"),
    }
}

/// Whether this user may infer, where the configuration says who may. It says so of root as well.
fn tenants(facts: &Facts) -> Option<Finding> {
    const ID: &str = "permissions.tenants";
    let tenants = &facts.printed()?.tenants;
    if tenants.is_empty() {
        return None;
    }
    let me = &facts.me;
    let lists_me = |uids: &[u32]| uids.contains(&me.uid);
    let mine: Vec<&str> = tenants
        .iter()
        .filter(|(_, uids)| lists_me(uids))
        .map(|(name, _)| name.as_str())
        .collect();
    let user = format!("{} (uid {})", me.name, me.uid);
    Some(if mine.is_empty() {
        Finding::warning(
            ID,
            format!("{user} is listed for no tenant: it may not infer"),
            format!(
                "add {} to the uids of a tenant in the configuration's [tenants] if it is to infer, then systemctl \
                 reload nn-daemon; root is listed like anybody else",
                me.uid
            ),
        )
    } else {
        Finding::ok(ID, format!("{user} may infer for {}", mine.join(", ")))
    })
}

// === impl Door, Socket ===

impl Door {
    fn sockets(&self) -> impl Iterator<Item = &Socket> {
        [&self.grpc, &self.fd].into_iter()
    }
}

impl Socket {
    fn is_denied(&self) -> bool {
        match &self.file {
            SocketFile::Hidden => true,
            SocketFile::Socket { knock, .. } => *knock == Knock::Denied,
            SocketFile::Absent | SocketFile::Other | SocketFile::Failed(_) => false,
        }
    }

    fn is_open(&self) -> bool {
        matches!(&self.file, SocketFile::Socket { knock, .. } if *knock == Knock::Accepted)
    }
}
