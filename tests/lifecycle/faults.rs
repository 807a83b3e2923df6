//! What surrounds models goes wrong: disks are full, directories may not be written, clients die in the middle of what
//! they send.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nn_proto::v1::{self, load_request, models_client::ModelsClient};
use nn_tests::{Daemon, Disk, ProcState, nnctl, require_backends, soak_rounds, wait_until};
use tokio_stream::StreamExt;

use super::swapped::adds_twice;
use super::{Files, SOON, adds, events, load, meant, states};

fn entries(daemon: &Daemon, below: &str) -> usize {
    let dir = daemon.state_dir().join(below);
    std::fs::read_dir(dir).unwrap().count()
}

/// Files of models, and files that are not finished.
pub(super) fn stored(daemon: &Daemon) -> (usize, usize) {
    (entries(daemon, "blobs"), entries(daemon, "incoming"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_nothing_changes_and_all_is_well_once_there_is_room() {
    require_backends!();
    let Some(disk) = Disk::of_kib(1024) else {
        return;
    };
    let (mut daemon, files) = (
        Daemon::builder()
            .with_state_dir(&disk.path().join("state"))
            .start(),
        Files::new(),
    );
    daemon.load("foo", &files.adds(1));
    daemon.load("foo", &files.adds(2));
    let third = files.adds(3);
    let third = third.to_str().unwrap();

    disk.fill();
    for words in [
        ["load", "foo", third].as_slice(),
        &["alias", "foo@1", "stable"],
        &["promote", "foo@1"],
        &["rollback", "foo"],
        &["pin", "foo"],
    ] {
        let refused = nnctl(&daemon, words);
        assert_eq!(refused.code, Some(1), "{words:?}");
        assert!(
            refused.stderr.contains("disk is full"),
            "{words:?}: {}",
            refused.stderr
        );
    }
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(2.0));
    assert_eq!(stored(&daemon), (2, 0));
    assert_eq!(entries(&daemon, "models"), 1);
    let described = daemon.json(&["describe", "foo@1"]);
    assert_eq!(described["model"]["aliases"], serde_json::json!([]));
    assert_eq!(events(&daemon, "promoted").len(), 2);

    // Room for the bytes, and none for the record that names them.
    disk.leave_kib(4);
    let refused = nnctl(&daemon, &["load", "foo", third]);
    assert!(refused.stderr.contains("disk is full"), "{refused:?}");
    assert_eq!(stored(&daemon), (2, 0));
    assert_eq!(entries(&daemon, "models"), 1);
    disk.fill();

    // What takes no room works, and makes some.
    nnctl(&daemon, &["unload", "foo@1"]).success();
    disk.clear();
    nnctl(&daemon, &["load", "foo", third]).success();
    nnctl(&daemon, &["rollback", "foo"]).success();
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(2.0));
    tokio::task::block_in_place(|| {
        daemon.kill();
        daemon.restart();
    });
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(2.0));
    assert_eq!(stored(&daemon), (2, 0));
    assert_eq!(events(&daemon, "rolled-back").len(), 1);
}

/// What the older file is begun from, in bytes.
const EVENTS_BYTES_MAX: u64 = 1 << 20;

#[test]
fn when_the_events_have_filled_a_file_another_is_begun_and_the_daemon_lives_on() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    daemon.kill();
    let path = daemon.state_dir().join("events.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let line = format!("{}\n", text.lines().last().unwrap());
    let lines = usize::try_from(EVENTS_BYTES_MAX).unwrap() / line.len() + 1;
    text.push_str(&line.repeat(lines));
    std::fs::write(&path, text).unwrap();
    daemon.restart();
    daemon.load("foo", &files.adds(2));
    wait_until("another is begun", SOON, || {
        let bytes =
            |name: &str| std::fs::metadata(path.with_file_name(name)).map(|file| file.len());
        bytes("events.jsonl").is_ok_and(|bytes| bytes < EVENTS_BYTES_MAX)
            && bytes("events.1.jsonl").is_ok_and(|bytes| bytes >= EVENTS_BYTES_MAX)
    });
    daemon.load("foo", &files.adds(3));
    assert_eq!(events(&daemon, "started").len(), 1);
}

#[test]
fn a_model_larger_than_the_disk_is_refused_and_leaves_nothing_on_it() {
    require_backends!();
    let Some(disk) = Disk::of_kib(1024) else {
        return;
    };
    let (daemon, files) = (
        Daemon::builder()
            .with_state_dir(&disk.path().join("state"))
            .start(),
        Files::new(),
    );
    let large = files.write("large.onnx", adds_twice(1));
    let refused = load(&daemon, "foo", &large, &[]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("disk is full"),
        "{}",
        refused.stderr
    );
    assert_eq!(stored(&daemon), (0, 0));
    daemon.load("foo", &files.adds(1));
}

#[test]
fn a_state_directory_that_is_not_the_daemons_to_write_is_told_and_works_again_once_it_is() {
    require_backends!();
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: not root, who alone can start a daemon of another user");
        return;
    }
    let (daemon, files) = (Daemon::builder().as_nobody().start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let mode = |mode| {
        for below in ["blobs", "models", "incoming"] {
            let dir = daemon.state_dir().join(below);
            std::fs::set_permissions(dir, Permissions::from_mode(mode)).unwrap();
        }
    };
    mode(0o500);
    let path = files.adds(2);
    let path = path.to_str().unwrap();
    for words in [
        ["load", "foo", path].as_slice(),
        &["alias", "foo", "stable"],
        &["pin", "foo"],
    ] {
        let refused = nnctl(&daemon, words);
        assert_eq!(refused.code, Some(1), "{words:?}");
        assert!(
            refused.stderr.contains("permission denied"),
            "{words:?}: {}",
            refused.stderr
        );
    }
    assert_eq!(states(&daemon, "foo"), ["ready"]);
    mode(0o700);
    nnctl(&daemon, &["load", "foo", path]).success();
    nnctl(&daemon, &["alias", "foo", "stable"]).success();
}

#[test]
fn an_unload_that_cannot_be_written_down_costs_no_bytes() {
    require_backends!();
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: not root, who alone can start a daemon of another user");
        return;
    }
    let (mut daemon, files) = (Daemon::builder().as_nobody().start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let records = daemon.state_dir().join("models");
    std::fs::set_permissions(&records, Permissions::from_mode(0o500)).unwrap();
    let refused = nnctl(&daemon, &["unload", "foo"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("back with the next start"),
        "{}",
        refused.stderr
    );
    assert_eq!(stored(&daemon), (1, 0));
    std::fs::set_permissions(&records, Permissions::from_mode(0o700)).unwrap();
    daemon.kill();
    daemon.restart();
    wait_until("it is back", SOON, || states(&daemon, "foo") == ["ready"]);
}

#[test]
fn a_number_that_was_uploaded_stays_what_it_is_when_a_repository_gets_it_too() {
    require_backends!();
    let files = Files::new();
    std::fs::create_dir_all(files.path().join("repo")).unwrap();
    let mut daemon = Daemon::builder()
        .with_repository(&files.path().join("repo"))
        .start();
    daemon.load("foo", &files.adds(1));
    let of = |daemon: &Daemon| daemon.json(&["describe", "foo@1"])["model"]["sha256"].clone();
    let uploaded = of(&daemon);
    files.write("repo/foo/1/model.onnx", adds(7));

    daemon.reload();
    wait_until("it is read", SOON, || {
        daemon.log().contains("there is a foo@1 already")
    });
    assert_eq!(of(&daemon), uploaded);
    assert_eq!(daemon.workers().len(), 1);

    daemon.kill();
    daemon.restart();
    assert_eq!(of(&daemon), uploaded);
}

/// Sends the begin of a model, as a client that lives for this moment only.
async fn begin_to_send(socket: std::path::PathBuf) {
    let channel = nn_client::channel(&socket).await.unwrap();
    let header = load_request::Body::Header(v1::LoadHeader {
        name: "foo".into(),
        format: "onnx".into(),
        parts: vec![v1::Part {
            name: "model.onnx".into(),
            bytes: 8 << 20,
            ..v1::Part::default()
        }],
        ..v1::LoadHeader::default()
    });
    let chunk = load_request::Body::Chunk(vec![7; 64 << 10]);
    let sent = [header, chunk.clone(), chunk].map(|body| v1::LoadRequest { body: Some(body) });
    let requests = tokio_stream::iter(sent).chain(tokio_stream::pending());
    let answers = ModelsClient::new(channel).load(requests).await.unwrap();
    let mut answers = answers.into_inner();
    let waited = tokio::time::timeout(Duration::from_millis(100), answers.message());
    assert!(waited.await.is_err(), "there is nothing to answer yet");
}

#[test]
fn what_a_client_that_dies_has_sent_is_gone_with_it() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let fds = || ProcState::of(daemon.pid()).unwrap().fds;
    let before = fds();
    for _ in 0..soak_rounds(5) {
        let client = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        client.block_on(begin_to_send(daemon.socket()));
        // All that it has ends with it, its connection too.
        drop(client);
    }
    wait_until("nothing is left of them", SOON, || fds() <= before);
    assert_eq!(stored(&daemon), (1, 0));
    assert_eq!(states(&daemon, "foo"), ["ready"]);
    daemon.load("foo", &files.adds(2));
}
