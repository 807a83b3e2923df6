//! What only a terminal gets: colours, and the phases of a load.

use nn_tests::{Daemon, model_file, nnctl, program, require_backends, tiny_model};

use crate::text;

const GREEN_READY: &str = "\x1b[32mready\x1b[0m";

/// What nnctl writes to a terminal of its own; `None` where there is no `script` to make one.
fn on_terminal(daemon: &Daemon, set: &str, words: &str) -> Option<String> {
    let (nnctl, socket) = (text(&program("nnctl")), text(&daemon.socket()));
    let line = format!("stty cols 100; {set} {nnctl} --socket {socket} {words}");
    #[expect(
        clippy::disallowed_methods,
        reason = "a terminal for a program under test"
    )]
    let mut command = std::process::Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    let Ok(output) = command.stdin(std::process::Stdio::null()).output() else {
        println!("skipped: no `script`, of util-linux");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn states_have_colours_on_a_terminal_and_never_elsewhere() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("foo", &tiny_model("identity-fp32"));
    let Some(shown) = on_terminal(&daemon, "", "list") else {
        return;
    };
    assert!(shown.contains(GREEN_READY), "{shown:?}");
    let without = [
        on_terminal(&daemon, "NO_COLOR=1", "list").unwrap(),
        on_terminal(&daemon, "TERM=dumb", "list").unwrap(),
        on_terminal(&daemon, "", "list --json").unwrap(),
        nnctl(&daemon, &["list"]).ok().stdout,
    ];
    let plain = |shown: &String| shown.contains("ready") && !shown.contains('\x1b');
    assert!(without.iter().all(plain), "{without:?}");
}

#[test]
fn a_load_tells_a_terminal_of_its_phases_and_nobody_else() {
    require_backends!();
    let daemon = Daemon::start();
    let model = text(&model_file("efficientnet-lite0"));
    let quiet = nnctl(&daemon, &["load", "foo", &model]).ok();
    assert_eq!(quiet.stderr, "");
    let Some(shown) = on_terminal(&daemon, "", &format!("load foo {model}")) else {
        return;
    };
    // Each in its turn; those that are over at once are not drawn.
    let phases = [
        "[1/6] checking",
        "[2/6] upload",
        "[3/6] vetting",
        "[4/6] storing",
        "[5/6] loading",
    ];
    let found = phases.map(|phase| shown.find(phase));
    let drawn = || found.iter().flatten();
    assert!(found[0].is_some(), "{shown:?}");
    assert!(drawn().is_sorted() && drawn().count() > 1, "{shown:?}");
    let last = shown.trim_end().rsplit("\x1b[2K").next().unwrap();
    assert!(
        last.trim_start().starts_with("foo@2 \x1b[32mready"),
        "{last:?}"
    );
}
