//! Events that are asked for, among all that there are.

use std::collections::BTreeSet;

use nn_tests::{Daemon, Follower, nnctl, require_backends, tiny_model, wait_until};

use crate::{SOON, documentation, objects};

#[test]
fn only_the_kinds_and_the_models_that_are_asked_for_are_shown() {
    require_backends!();
    let daemon = Daemon::start();
    let echo = tiny_model("identity-fp32");
    daemon.load("foo", &echo);
    daemon.load("foobar", &echo);
    daemon.load("foo", &echo);
    let words = ["--json", "events", "--kind", "stored", "--kind", "promoted"];
    let shown = nnctl(&daemon, &[words.as_slice(), &["--model", "foo"]].concat());
    let shown = objects(&shown.ok().stdout);
    let shown: Vec<(&str, &str)> = shown
        .iter()
        .map(|event| {
            (
                event["kind"].as_str().unwrap(),
                event["model"].as_str().unwrap(),
            )
        })
        .collect();
    assert!(shown.contains(&("stored", "foo@1")) && shown.contains(&("stored", "foo@2")));
    assert!(
        shown
            .iter()
            .all(|(kind, _)| ["stored", "promoted"].contains(kind)),
        "{shown:?}"
    );
    assert!(
        !shown.iter().any(|(_, model)| model.starts_with("foobar")),
        "{shown:?}"
    );
    let second = nnctl(&daemon, &["--json", "events", "--model", "foo@2"]).ok();
    assert!(
        objects(&second.stdout)
            .iter()
            .all(|event| event["model"] == "foo@2")
    );
    assert_eq!(nnctl(&daemon, &["events", "--kind", "crash"]).code, Some(2));
}

#[test]
fn who_follows_is_shown_what_they_asked_for_as_it_comes() {
    require_backends!();
    let daemon = Daemon::start();
    let words = ["events", "--follow", "--kind", "unloaded"];
    let follower = Follower::nnctl(&daemon, &words);
    daemon.load("foo", &tiny_model("identity-fp32"));
    nnctl(&daemon, &["unload", "foo"]).success();
    wait_until("it is told", SOON, || !follower.printed().is_empty());
    let printed = follower.printed();
    assert!(printed.contains("  unloaded     foo@1  "), "{printed}");
    assert_eq!(printed.lines().count(), 1, "{printed}");
}

#[test]
fn the_kinds_that_can_be_asked_for_are_those_that_are_documented() {
    let refused = nn_tests::run("nnctl", &["events", "--kind", "?"]);
    let (_, kinds) = refused.stderr.split_once("possible values: ").unwrap();
    let (kinds, _) = kinds.split_once(']').unwrap();
    let kinds: BTreeSet<&str> = kinds.split(',').map(str::trim).collect();
    let page = documentation("models.md");
    let (_, events) = page.split_once("\n## Events\n").unwrap();
    let (events, _) = events.split_once("\n## ").unwrap();
    let rows = events.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split(" | ").next().unwrap());
    let documented = cells.flat_map(|cell| cell.split(", "));
    let documented: BTreeSet<&str> = documented.map(|kind| kind.trim_matches('`')).collect();
    assert_eq!(kinds, documented);
}
