//! What the daemon counts and measures: every metric that docs/metrics.md names is there, in a form that others read, and
//! moves with what it is about. Over TCP: tests/metrics/tcp.rs.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it"
)]

#[path = "metrics/parse.rs"]
mod parse;
#[path = "metrics/tcp.rs"]
mod tcp;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nn_client::Client;
use nn_tensor::Code;
use nn_tests::{
    Daemon, kill, nnctl, require_backends, slow, slow_daemon, tiny_model, until, until_computing,
};
use parse::Said;

/// For what comes by itself.
const SOON: Duration = Duration::from_secs(20);

/// Longer than any test waits.
const ENDLESS: i64 = 10_000_000;

/// A row of the page.
struct Documented {
    kind: String,
    labels: Vec<String>,
}

fn printed(daemon: &Daemon) -> String {
    tokio::task::block_in_place(|| nnctl(daemon, &["metrics"]).ok().stdout)
}

fn said(daemon: &Daemon) -> Said {
    Said::parse(&printed(daemon))
}

/// Whether the kernel says how many descriptors a process has.
fn counts_descriptors() -> bool {
    std::fs::metadata("/proc/self/fd").is_ok_and(|folder| folder.len() > 0)
}

/// docs/metrics.md, by name.
fn documented() -> BTreeMap<String, Documented> {
    let page: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "docs", "metrics.md"]
        .iter()
        .collect();
    let page = std::fs::read_to_string(page).unwrap();
    let bare = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let [name, kind, labels, _] = cells[..] else {
            panic!("{line}");
        };
        let labels = labels.split(", ").map(bare).filter(|name| !name.is_empty());
        let mut labels: Vec<String> = labels.collect();
        labels.sort();
        let kind = bare(kind);
        Some((bare(name), Documented { kind, labels }))
    });
    rows.collect()
}

/// A version that an engine might compute.
fn placeable(daemon: &Daemon) {
    let model = tiny_model("echo-f32");
    let said = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(said.path(), "[kserve]\nendpoints = [\"engine:8001\"]\n").unwrap();
    let [model, said] = [&*model, said.path()].map(|path| path.to_str().unwrap().to_owned());
    nnctl(daemon, &["load", "echo", &model, "--manifest", &said]).success();
}

/// A daemon that has done a bit of everything: computes that went well and that did not, two tenants, a worker that was
/// killed and replaced. The sessions are open as long as their clients are there.
async fn seasoned() -> (Daemon, [Client; 2]) {
    let daemon = slow_daemon();
    let client = daemon.client();
    slow(&client, 1, None).await.unwrap();
    let late = slow(&client, ENDLESS, Some(Duration::from_millis(50))).await;
    assert_eq!(late.unwrap_err().code, Code::Timeout);
    let shop = Client::new(daemon.socket(), "shop".parse().unwrap());
    slow(&shop, 1, None).await.unwrap();
    let worker = tokio::task::block_in_place(|| daemon.workers())[0];
    kill(worker);
    until("another worker serves", SOON, || {
        let said = said(&daemon);
        said.count("nn_worker_ends_total", &[("cause", "killed")]) == 1.0
            && said.count("nn_model_workers", &[("model", "slow")]) == 1.0
    })
    .await;
    // With the sessions that are open.
    slow(&client, 1, None).await.unwrap();
    slow(&shop, 1, None).await.unwrap();
    assert_eq!(
        said(&daemon).count("nn_tenant_sessions", &[]),
        2.0,
        "both are open"
    );
    (daemon, [client, shop])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_metric_is_there_with_its_labels_and_no_other() {
    require_backends!();
    let (daemon, _clients) = seasoned().await;
    tokio::task::block_in_place(|| placeable(&daemon));
    let (said, documented) = (said(&daemon), documented());
    let names: BTreeSet<&String> = said.0.keys().collect();
    assert_eq!(names, documented.keys().collect::<BTreeSet<_>>());
    let wrong = documented.iter().filter(|(name, row)| {
        let family = &said.0[*name];
        let labels: BTreeSet<Vec<&str>> =
            BTreeSet::from([row.labels.iter().map(String::as_str).collect()]);
        // Before Linux 6.2 there is nobody who says.
        let is_untold = *name == "process_open_fds" && !counts_descriptors();
        family.kind != row.kind || (family.labels() != labels && !is_untold)
    });
    let wrong: Vec<_> = wrong.map(|(name, _)| (name, &said.0[name])).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_what_is_counted() {
    require_backends!();
    let (daemon, _clients) = seasoned().await;
    let said = said(&daemon);
    let slow = ("model", "slow");
    let expected = [
        ("nn_computes_total", vec![("code", "ok")], 4.0),
        ("nn_computes_total", vec![("code", "timeout")], 1.0),
        ("nn_computes_total", vec![("code", "busy")], 0.0),
        ("nn_computes_in_flight", vec![], 0.0),
        (
            "nn_model_computes_total",
            vec![slow, ("version", "1"), ("code", "ok")],
            4.0,
        ),
        (
            "nn_model_computes_total",
            vec![slow, ("code", "timeout")],
            1.0,
        ),
        ("nn_model_compute_duration_seconds_count", vec![slow], 4.0),
        (
            "nn_tenant_computes_total",
            vec![("tenant", "shop"), ("code", "ok")],
            2.0,
        ),
        (
            "nn_tenant_faults_total",
            vec![("tenant", "default"), ("reason", "deadline-running")],
            1.0,
        ),
        ("nn_tenant_sessions", vec![("tenant", "shop")], 1.0),
        ("nn_models", vec![("state", "ready")], 1.0),
        ("nn_workers", vec![("state", "serving")], 1.0),
        ("nn_workers", vec![("state", "starting")], 0.0),
        ("nn_worker_starts_total", vec![], 2.0),
        ("nn_worker_restarts_total", vec![], 1.0),
        ("nn_worker_load_duration_seconds_count", vec![], 2.0),
        ("nn_draining", vec![], 0.0),
        ("nn_build_info", vec![], 1.0),
    ];
    let wrong = expected
        .iter()
        .filter(|(name, labels, count)| said.value(name, labels) != Some(*count))
        .map(|(name, labels, count)| (name, labels, count, said.value(name, labels)));
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stages_of_computes_add_up_to_their_time() {
    require_backends!();
    let (daemon, _clients) = seasoned().await;
    let said = said(&daemon);
    let all = said.count("nn_model_compute_duration_seconds_sum", &[]);
    let stages = "nn_model_compute_stage_duration_seconds_sum";
    let parts = ["queue", "hop", "run"].map(|stage| said.count(stages, &[("stage", stage)]));
    let sum: f64 = parts.iter().sum();
    assert!((all - sum).abs() < 1e-4, "{all} is not {parts:?}");
    assert!(parts.iter().all(|part| *part > 0.0), "{parts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_daemon_takes_of_the_machine_is_told_from_inside_its_jail() {
    require_backends!();
    let (daemon, _clients) = seasoned().await;
    let said = said(&daemon);
    let more = [
        ("process_cpu_seconds_total", 0.001),
        ("process_resident_memory_bytes", 1e6),
        ("process_virtual_memory_bytes", 1e6),
        ("process_threads", 1.0),
        (
            "process_open_fds",
            10.0 * f64::from(u8::from(counts_descriptors())),
        ),
        ("process_max_fds", 100.0),
        ("process_start_time_seconds", 1.7e9),
        ("nn_arena_bytes", 1e6),
        ("nn_worker_memory_budget_bytes", 1e6),
    ];
    let wrong: Vec<_> = more
        .iter()
        .map(|(name, least)| (name, least, said.count(name, &[])))
        .filter(|(_, least, value)| value < least)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let budget = said.count("nn_tenant_arena_bytes", &[]);
    assert_eq!(said.count("nn_arena_bytes", &[]), budget);
    let layers = said.count("nn_jail_layer_active", &[("process", "nn-daemon")]);
    assert!(layers >= 2.0, "no_new_privs and seccomp at least");
    // Every ten seconds, and when a worker has come.
    until("its workers have been measured", SOON, || {
        let said = self::said(&daemon);
        said.count("nn_worker_memory_bytes", &[("kind", "own")]) > 1e6
            && said.count("nn_model_memory_bytes", &[("model", "slow")]) > 1e6
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_and_what_runs_is_seen_while_it_does() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_limits("worker_window = 1\nqueue_per_model_max = 4")
        .start();
    daemon.load("slow", &tiny_model("slow-f32"));
    let client = daemon.client();
    let first = client.clone();
    let running = tokio::spawn(async move { slow(&first, ENDLESS, None).await });
    until_computing(&daemon, SOON).await;
    let more: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { slow(&client, ENDLESS, None).await })
        })
        .collect();
    until("some wait and the others are refused", SOON, || {
        let said = said(&daemon);
        let waiting = said.count("nn_model_jobs_waiting", &[("model", "slow")]);
        let busy = said.count("nn_computes_total", &[("code", "busy")]);
        waiting >= 1.0
            && busy >= 1.0
            && said.count("nn_model_computes_in_flight", &[("model", "slow")]) == 1.0
            && said.count("nn_computes_in_flight", &[]) + busy == 9.0
    })
    .await;
    let said = said(&daemon);
    let full = [("tenant", "default"), ("reason", "queue-share-full")];
    assert!(said.count("nn_tenant_faults_total", &full) >= 1.0);
    drop((client, more, running));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_unloaded_is_not_there_and_stays_counted() {
    require_backends!();
    let daemon = slow_daemon();
    slow(&daemon.client(), 1, None).await.unwrap();
    tokio::task::block_in_place(|| nnctl(&daemon, &["unload", "slow"]).success());
    let said = said(&daemon);
    assert_eq!(said.value("nn_model_workers", &[("model", "slow")]), None);
    assert_eq!(said.count("nn_models", &[]), 0.0);
    let computes = [("model", "slow"), ("code", "ok")];
    assert_eq!(said.count("nn_model_computes_total", &computes), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_beyond_the_bound_share_a_series_and_no_compute_is_lost() {
    const TENANTS: usize = 140;
    require_backends!();
    let daemon = slow_daemon();
    for number in 0..TENANTS {
        let tenant = format!("tenant-{number}").parse().unwrap();
        let client = Client::new(daemon.socket(), tenant);
        slow(&client, 1, None).await.unwrap();
    }
    let said = said(&daemon);
    let family = &said.0["nn_tenant_sessions"];
    assert_eq!(family.samples.len(), 129, "128 and the others");
    let ok = said.count("nn_tenant_computes_total", &[("code", "ok")]);
    assert_eq!(ok, 140.0);
    let others = [("tenant", "(other)"), ("code", "ok")];
    assert!(said.count("nn_tenant_computes_total", &others) >= 12.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_finds_nothing_wrong() {
    require_backends!();
    let (daemon, _clients) = seasoned().await;
    let text = printed(&daemon);
    #[expect(clippy::disallowed_methods, reason = "a program that judges")]
    let promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => {
            println!("skipped: no promtool ({error}); Debian's package prometheus has it");
            return;
        }
    };
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let judged = promtool.wait_with_output().unwrap();
    let words = [judged.stdout, judged.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    assert!(judged.status.success() && words.is_empty(), "{words}");
}
