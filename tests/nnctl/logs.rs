//! What workers write: kept over their restarts, followed, and without a say over a terminal.

use nn_tests::{Follower, nnctl, require_backends, wait_until};

use crate::{PANIC, SOON, crash, crashing, objects};

/// By a flood of its log.
const FLOOD: i64 = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_outlive_the_workers_that_wrote_them() {
    require_backends!();
    let daemon = crashing();
    let graph = daemon.client().resolve("crash").await.unwrap();
    crash(&graph, PANIC).await;
    crash(&graph, PANIC).await;
    let lines = || objects(&nnctl(&daemon, &["--json", "logs", "crash"]).ok().stdout);
    let panics = || {
        let lines = lines().into_iter();
        let panics = lines.filter(|line| line["text"].as_str().unwrap().contains("as asked"));
        panics
            .map(|line| line["worker"].as_u64().unwrap())
            .collect::<Vec<u64>>()
    };
    tokio::task::block_in_place(|| {
        wait_until("both are kept", SOON, || panics().len() == 2);
        let workers = panics();
        assert!(workers[0] < workers[1], "{workers:?}");
        let text = nnctl(&daemon, &["logs", "crash@1"]).ok().stdout;
        let first = format!("Z  worker {}  ", workers[0]);
        assert!(text.contains(&first) && text.contains("as asked"), "{text}");
        assert_eq!(nnctl(&daemon, &["logs", "crash@2"]).code, Some(4));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_bounded_and_drives_no_terminal() {
    require_backends!();
    let daemon = crashing();
    let graph = daemon.client().resolve("crash").await.unwrap();
    let how = FLOOD.to_le_bytes();
    let inputs = [("how", nn_tensor::DType::I64, [].as_slice(), how.as_slice())];
    let flood = nn_tests::compute_of(&graph, &inputs, Some(std::time::Duration::from_secs(3)));
    assert!(flood.await.is_err());
    tokio::task::block_in_place(|| {
        let printed = nnctl(&daemon, &["logs", "crash"]).ok().stdout;
        assert!(printed.contains("flood flood"), "{printed}");
        assert!(!printed.contains(['\x1b', '\x07']), "{printed:?}");
        assert!(printed.contains("before this no longer kept"), "{printed}");
        // Times and workers' numbers stand beside the 64 KiB of text.
        assert!(printed.len() < 2 * 64 * 1024, "{}", printed.len());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_is_told_as_it_is_written_until_the_version_goes() {
    require_backends!();
    let daemon = crashing();
    let graph = daemon.client().resolve("crash").await.unwrap();
    let mut follower = Follower::nnctl(&daemon, &["logs", "crash", "--follow"]);
    crash(&graph, PANIC).await;
    tokio::task::block_in_place(|| {
        let told = || follower.printed().contains("as asked");
        wait_until("it is told", SOON, told);
        assert!(follower.runs());
        nnctl(&daemon, &["unload", "crash"]).success();
        wait_until("it ends", SOON, || !follower.runs());
    });
}
