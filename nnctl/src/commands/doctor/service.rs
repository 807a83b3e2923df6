//! What the service manager says of the daemon. Pure.

use super::facts::{Answer, Facts, Service, Site, Unit};
use super::finding::Finding;
use crate::output::count;

const LOG: &str =
    "journalctl -u nn-daemon tells why; then systemctl reset-failed nn-daemon and start it";

/// Sites that are down and named, each by itself.
const SITES_TOLD_MAX: usize = 8;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "service.daemon";
    match &facts.service {
        Service::NoSystemd => vec![Finding::unknown(ID, "this machine is not run by systemd")],
        Service::Failed(why) => {
            vec![Finding::unknown(
                ID,
                format!("systemd does not tell: {why}"),
            )]
        }
        Service::Units {
            service,
            socket,
            sites,
        } => {
            let mut found = vec![daemon(facts, service, socket)];
            found.extend(door(service, socket));
            found.extend(outdated(service, socket));
            found.extend(self::sites(sites));
            found
        }
    }
}

fn daemon(facts: &Facts, service: &Unit, socket: &Unit) -> Finding {
    const ID: &str = "service.daemon";
    let answers = !matches!(facts.answer, Answer::None(_));
    let state = format!("{} ({})", service.active, service.sub);
    if service.load == "not-found" {
        let found = "systemd has no unit nn-daemon.service";
        return if answers {
            Finding::ok(ID, format!("{found}; the daemon was started otherwise"))
        } else {
            Finding::warning(ID, found, "install the units, or start nn-daemon yourself")
        };
    }
    match service.active.as_str() {
        "failed" => Finding::problem(ID, format!("{state}: {}", service.result), LOG),
        "active" if service.restarts > 0 => Finding::warning(
            ID,
            format!(
                "{state}, started again {} by itself",
                count(service.restarts, "time")
            ),
            "journalctl -u nn-daemon tells why",
        ),
        "active" => match facts.status() {
            Some(status) if status.pid != service.main_pid => Finding::warning(
                ID,
                format!(
                    "{state} as pid {}, but pid {} answers",
                    service.main_pid, status.pid
                ),
                "two daemons run: is the socket the one that was meant?",
            ),
            _ => Finding::ok(ID, format!("{state}, pid {}", service.main_pid)),
        },
        "inactive" if socket.active == "active" => {
            Finding::ok(ID, format!("{state}; the first connection starts it"))
        }
        "inactive" if answers => {
            Finding::ok(ID, format!("{state}; the daemon was started otherwise"))
        }
        "inactive" => Finding::problem(
            ID,
            state,
            "systemctl enable --now nn-daemon.socket nn-daemon.service",
        ),
        _ => Finding::warning(ID, state, "journalctl -u nn-daemon tells how it goes on"),
    }
}

/// The guests that are served: each answers its clients, or is down.
fn sites(sites: &Result<Vec<Site>, String>) -> Option<Finding> {
    const ID: &str = "service.sites";
    let sites = match sites {
        Err(why) => {
            let found = format!("systemd does not tell of nn-host@*.service: {why}");
            return Some(Finding::unknown(ID, found));
        }
        Ok(sites) if sites.is_empty() => return None,
        Ok(sites) => sites,
    };
    let down: Vec<&Site> = sites.iter().filter(|site| site.is_down()).collect();
    if down.is_empty() {
        let known = count(u64::try_from(sites.len()).unwrap_or(u64::MAX), "site");
        return Some(Finding::ok(ID, format!("{known}, none is down")));
    }
    let named = down.iter().take(SITES_TOLD_MAX);
    let mut states: Vec<String> = named
        .clone()
        .map(|site| format!("{} is down: {} ({})", site.unit, site.active, site.sub))
        .collect();
    if down.len() > SITES_TOLD_MAX {
        states.push(format!("and {} more", down.len() - SITES_TOLD_MAX));
    }
    let units: String = named.map(|site| format!(" --unit {}", site.unit)).collect();
    Some(Finding::problem(
        ID,
        states.join("; "),
        format!("journalctl{units}"),
    ))
}

/// A daemon without its socket unit loses connections when it is restarted.
fn door(service: &Unit, socket: &Unit) -> Option<Finding> {
    const ID: &str = "service.socket";
    if service.load == "not-found" {
        return None;
    }
    Some(match (socket.load.as_str(), socket.active.as_str()) {
        ("not-found", _) => Finding::warning(
            ID,
            "systemd has no unit nn-daemon.socket",
            "install it: without it, whoever connects during a restart is turned away",
        ),
        (_, "active") => Finding::ok(ID, format!("active ({})", socket.sub)),
        (_, "failed") => Finding::problem(ID, format!("failed: {}", socket.result), reopen(socket)),
        (_, state) => Finding::warning(ID, state, "systemctl enable --now nn-daemon.socket"),
    })
}

/// systemd gives the socket up with a daemon that does not start.
fn reopen(socket: &Unit) -> &'static str {
    if socket.result == "service-start-limit-hit" {
        "mend the daemon, then systemctl reset-failed nn-daemon.service and systemctl start nn-daemon.socket"
    } else {
        "journalctl -u nn-daemon.socket tells why; systemd-sysusers and systemd-tmpfiles --create make its group and directory"
    }
}

fn outdated(service: &Unit, socket: &Unit) -> Option<Finding> {
    (service.outdated || socket.outdated).then(|| {
        Finding::warning(
            "service.units",
            "the files of the units have changed since systemd has read them",
            "systemctl daemon-reload",
        )
    })
}

// === impl Site ===

impl Site {
    /// Between two starts it serves nobody either.
    fn is_down(&self) -> bool {
        self.active == "failed" || self.sub.starts_with("auto-restart")
    }
}
