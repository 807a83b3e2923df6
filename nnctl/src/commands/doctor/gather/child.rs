//! Programs that are asked: started, waited for, and ended when they take too long. One of the few places where children
//! are born.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::super::facts::{Service, Site, Unit, Walls};

/// Long enough for a machine that has better to do.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What of a complaint is passed on, in characters.
const COMPLAINT_MAX: usize = 300;

/// What a program prints; else why there is nothing, by its own words if it has any.
pub(super) async fn ask(program: &Path, arguments: &[&str]) -> Result<String, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "what nn-daemon, nn-worker and systemctl know they tell only when they are run"
    )]
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let mut command = tokio::process::Command::from(command);
    let asked = tokio::time::timeout(ANSWER_TIMEOUT, command.kill_on_drop(true).output()).await;
    let output = match asked {
        Err(_) => return Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = complaint(&String::from_utf8_lossy(&output.stderr));
    Err(if complaint.is_empty() {
        output.status.to_string()
    } else {
        complaint
    })
}

/// The words of the last error in a log, on one line.
fn complaint(log: &str) -> String {
    let error = log.rfind("ERROR ").map_or(log, |at| &log[at..]);
    let words = error
        .strip_prefix("ERROR ")
        .and_then(|rest| Some(rest.split_once(": ")?.1))
        .unwrap_or(error);
    let words: Vec<&str> = words.split_whitespace().collect();
    let words = words.join(" ");
    match words.char_indices().nth(COMPLAINT_MAX) {
        Some((end, _)) => format!("{}…", words[..end].trim_end()),
        None => words,
    }
}

/// What systemd says of the two units, and of those that serve guests.
pub(super) async fn service() -> Service {
    const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,Result,NRestarts,MainPID,NeedDaemonReload,\
                              PrivateNetwork,RestrictAddressFamilies,IPAddressAllow,IPAddressDeny";
    // sd_booted(3).
    if !Path::new("/run/systemd/system").is_dir() {
        return Service::NoSystemd;
    }
    let show = async |unit: &str| {
        let arguments = ["show", PROPERTIES, "--", unit];
        ask(Path::new("systemctl"), &arguments)
            .await
            .map(|text| unit_of(&text))
    };
    match (
        show("nn-daemon.service").await,
        show("nn-daemon.socket").await,
    ) {
        (Ok(service), Ok(socket)) => Service::Units {
            service,
            socket: socket.into(),
            sites: sites().await,
        },
        (Err(why), _) | (_, Err(why)) => Service::Failed(why),
    }
}

async fn sites() -> Result<Vec<Site>, String> {
    let arguments = [
        "list-units",
        "--all",
        "--full",
        "--no-legend",
        "--plain",
        "--no-pager",
        "nn-host@*.service",
    ];
    let text = ask(Path::new("systemctl"), &arguments).await?;
    Ok(text.lines().filter_map(site_of).collect())
}

/// Of `UNIT LOAD ACTIVE SUB DESCRIPTION`.
fn site_of(line: &str) -> Option<Site> {
    let mut words = line.split_whitespace();
    let unit = words.next()?.strip_suffix(".service")?;
    let (active, sub) = (words.nth(1)?, words.next()?);
    Some(Site {
        unit: unit.to_owned(),
        active: active.to_owned(),
        sub: sub.to_owned(),
    })
}

fn unit_of(text: &str) -> Unit {
    let value = |name: &str| {
        let mut lines = text.lines();
        lines
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
    };
    Unit {
        load: value("LoadState").to_owned(),
        active: value("ActiveState").to_owned(),
        sub: value("SubState").to_owned(),
        result: value("Result").to_owned(),
        restarts: value("NRestarts").parse().unwrap_or(0),
        main_pid: value("MainPID").parse().unwrap_or(0),
        outdated: value("NeedDaemonReload") == "yes",
        walls: Walls {
            private_network: value("PrivateNetwork") == "yes",
            families: value("RestrictAddressFamilies").to_owned(),
            no_address: value("IPAddressDeny").contains("0.0.0.0/0")
                && value("IPAddressAllow").is_empty(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_the_last_error_without_its_time() {
        let log = "2026-01-01T00:00:00Z  WARN nn_daemon: careful\n\
                   2026-01-01T00:00:00Z ERROR nn_daemon: in the file: unknown field `x`\n  |\n1 | x = 1\n";
        assert_eq!(complaint(log), "in the file: unknown field `x` | 1 | x = 1");
        assert!(complaint(&"word ".repeat(200)).ends_with("word…"));
        assert_eq!(
            complaint("error: unexpected argument\n"),
            "error: unexpected argument"
        );
    }

    #[test]
    fn properties_of_a_unit_are_read_in_any_order() {
        let text = "NRestarts=2\nMainPID=77\nResult=success\nLoadState=loaded\nActiveState=active\n\
                    SubState=running\nNeedDaemonReload=no\nPrivateNetwork=yes\n\
                    RestrictAddressFamilies=AF_UNIX\nIPAddressAllow=\nIPAddressDeny=::/0 0.0.0.0/0\n";
        let wanted = Unit {
            load: "loaded".to_owned(),
            active: "active".to_owned(),
            sub: "running".to_owned(),
            result: "success".to_owned(),
            restarts: 2,
            main_pid: 77,
            outdated: false,
            walls: Walls {
                private_network: true,
                families: "AF_UNIX".to_owned(),
                no_address: true,
            },
        };
        assert_eq!(unit_of(text), wanted);
        let open = "IPAddressAllow=127.0.0.0/8\nIPAddressDeny=::/0 0.0.0.0/0\nPrivateNetwork=no\n";
        assert_eq!(unit_of(open).walls, Walls::default());
    }

    #[test]
    fn a_site_is_a_line_with_its_state() {
        let line =
            "nn-host@shop.service loaded activating auto-restart WebAssembly guest shop over HTTP";
        let wanted = Site {
            unit: "nn-host@shop".to_owned(),
            active: "activating".to_owned(),
            sub: "auto-restart".to_owned(),
        };
        assert_eq!(site_of(line), Some(wanted));
        assert_eq!(site_of(""), None);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_says_so() {
        let error = ask(Path::new("/nowhere/nn-daemon"), &[]).await.unwrap_err();
        assert!(error.contains("No such file"), "{error}");
    }
}
