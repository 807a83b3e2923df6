//! The network that the configuration asks for: whether the unit leaves one, and whether the process that connects lives.
//! Pure.

use super::facts::{Answer, Facts, Service, Walls};
use super::finding::Finding;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    unit(facts).into_iter().chain(dialer(facts)).collect()
}

/// A unit without a network, and a configuration that takes one. That the daemon listens in a network of its own, where
/// nobody else is, it cannot know.
fn unit(facts: &Facts) -> Option<Finding> {
    const ID: &str = "network.unit";
    let keys = &facts.printed()?.network;
    let Service::Units { service, .. } = &facts.service else {
        return None;
    };
    let is_its_own = match (&facts.answer, facts.status()) {
        (_, Some(status)) => status.pid == service.main_pid,
        (Answer::Refused, None) => service.active == "active",
        (_, None) => true,
    };
    if keys.is_empty() || service.load != "loaded" || !is_its_own {
        return None;
    }
    let walls = walls(&service.walls);
    Some(if walls.is_empty() {
        Finding::ok(ID, format!("for {}", keys.join(", ")))
    } else {
        Finding::problem(
            ID,
            format!(
                "nn-daemon.service has {}, but nn-daemon.toml has {}",
                walls.join(", "),
                keys.join(", ")
            ),
            "systemctl edit nn-daemon, as operations.md says for each, and a restart; or take the keys out",
        )
    })
}

/// What keeps everybody out, as the unit has it.
fn walls(walls: &Walls) -> Vec<String> {
    let mut all = Vec::new();
    if walls.private_network {
        all.push("PrivateNetwork=yes".to_owned());
    }
    let families = walls.families.trim_start_matches('~');
    let named = families
        .split_whitespace()
        .any(|family| ["AF_INET", "AF_INET6"].contains(&family));
    let is_denied = walls.families.starts_with('~');
    if named == is_denied && !walls.families.is_empty() {
        all.push(format!("RestrictAddressFamilies={}", walls.families));
    }
    if walls.no_address {
        all.push("IPAddressDeny=any without an IPAddressAllow=".to_owned());
    }
    all
}

/// It is started with the daemon, and with nothing else.
fn dialer(facts: &Facts) -> Option<Finding> {
    const ID: &str = "network.dialer";
    let remote = facts.status()?.remote.as_ref()?;
    Some(if remote.available {
        Finding::ok(ID, format!("connects, pid {}", remote.pid))
    } else {
        Finding::problem(
            ID,
            format!(
                "the dialer is gone ({}): no relay can be started",
                remote.detail
            ),
            "journalctl -u nn-daemon tells how it ended; then systemctl restart nn-daemon",
        )
    })
}
