//! What survives the daemon's death: everything that was promised, and nothing that was half done.

use std::time::{Duration, Instant};

use nn_tests::{Daemon, nnctl, require_backends, soak_rounds};

use super::{Files, meant, states};

/// Kills the daemon at some moment of a load, a promotion, an alias; each round another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_at_any_moment_everything_promised_is_served_and_nothing_is_half_made() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let rounds = u16::try_from(soak_rounds(20)).unwrap();
    let mut promised = 1;
    // How long a load takes here: kills are spread over that.
    let mut whole = Duration::from_millis(300);
    for round in 2..=rounds + 1 {
        let path = files.adds(round);
        let path = path.to_str().unwrap();
        let wait = whole * u32::from(round % 10) / 8;
        let begun = Instant::now();
        let answered = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let loading = scope.spawn(|| {
                    let loaded = nnctl(&daemon, &["load", "foo", path]);
                    let version = loaded.stdout.strip_prefix("foo@");
                    let version = version.and_then(|rest| rest.split(' ').next()?.parse().ok());
                    if loaded.code != Some(0) {
                        return None;
                    }
                    let aliased = nnctl(&daemon, &["alias", "foo", "last"]);
                    version.map(|version: u32| (version, round, aliased.code == Some(0)))
                });
                std::thread::sleep(wait);
                nn_tests::kill(daemon.pid());
                loading.join().unwrap()
            })
        });
        tokio::task::block_in_place(|| {
            daemon.kill();
            daemon.restart();
        });
        let client = daemon.client();
        if let Some((version, number, is_aliased)) = answered {
            whole = begun.elapsed();
            promised = number;
            let named = meant(&client, &format!("foo@{version}")).await;
            assert_eq!(named, Ok(f32::from(number)), "round {round}");
            if is_aliased {
                assert_eq!(
                    meant(&client, "foo:last").await,
                    Ok(f32::from(number)),
                    "round {round}"
                );
            }
        }
        let now = meant(&client, "foo").await.unwrap();
        let allowed = [f32::from(promised), f32::from(round)];
        assert!(
            allowed.contains(&now),
            "round {round}: {now}, not {allowed:?}"
        );
        // An unconfirmed load may have landed: then it is what later rounds build on.
        if (now - f32::from(round)).abs() < f32::EPSILON {
            promised = round;
        }
    }
    let listed = states(&daemon, "foo").len();
    let blobs = std::fs::read_dir(daemon.state_dir().join("blobs"))
        .unwrap()
        .count();
    let incoming = std::fs::read_dir(daemon.state_dir().join("incoming"))
        .unwrap()
        .count();
    assert_eq!(
        (blobs, incoming),
        (listed, 0),
        "every file is a version's, every version has one"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_without_waiting_is_loaded_after_a_kill() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let path = files.adds(2);
    nnctl(
        &daemon,
        &["load", "foo", path.to_str().unwrap(), "--no-wait"],
    )
    .success();
    tokio::task::block_in_place(|| {
        daemon.kill();
        daemon.restart();
    });
    let client = daemon.client();
    let mut now = 0.0;
    for _ in 0..500 {
        now = meant(&client, "foo").await.unwrap();
        if now > 1.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!((now - 2.0).abs() < f32::EPSILON, "{now}");
}

#[test]
fn the_events_before_a_kill_are_there_after_it() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    // The disk has them within moments; who kills at once loses the last ones at most.
    std::thread::sleep(Duration::from_millis(200));
    daemon.kill();
    daemon.restart();
    let started = super::events(&daemon, "started");
    let promoted = super::events(&daemon, "promoted");
    assert_eq!((started.len(), promoted.len()), (2, 1));
    assert!(started[1]["number"].as_u64() > promoted[0]["number"].as_u64());
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_and_nothing_is_half_made() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let models = daemon.state_dir().join("models");
    // Root writes whatever a directory's mode says: so it is not there.
    std::fs::rename(&models, daemon.state_dir().join("aside")).unwrap();
    let path = files.adds(2);
    let refused = nnctl(&daemon, &["load", "foo", path.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("state directory"),
        "{}",
        refused.stderr
    );
    let refused = nnctl(&daemon, &["alias", "foo", "stable"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    std::fs::rename(daemon.state_dir().join("aside"), &models).unwrap();
    assert_eq!(states(&daemon, "foo"), ["ready"]);
    assert_eq!(
        daemon.json(&["describe", "foo"])["model"]["aliases"],
        serde_json::json!([])
    );
    daemon.load("foo", &path);
}
