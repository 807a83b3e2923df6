//! Engines that misbehave in every way that we know of, seen through host, daemon, relay and dialer: each time whoever calls
//! gets a reason by the deadline, a model that is here goes on answering, the relay lives, the endpoint is left alone where
//! that is its fault, and the next good answer comes.

#[path = "hostile/frames.rs"]
mod frames;
#[path = "hostile/rows.rs"]
mod rows;
#[path = "hostile/tls.rs"]
mod tls;
#[path = "hostile/wild.rs"]
mod wild;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nn_client::Client;
use nn_tensor::{Fault, Reason};
use nn_tests::{Daemon, ProcState, nnctl, require_backends, tiny_model, until};
use tokio::task::{JoinHandle, block_in_place};

use super::{SOON, add, place};
use rows::Row;
use wild::{Act, Wild};

/// As long as a call to an engine that is quick may take.
const PATIENT: Duration = Duration::from_secs(10);

/// Longer than a connection may take to come, so that silence speaks against the endpoint.
const SHORT: Duration = Duration::from_millis(1500);

/// How much later than its deadline a call's answer may come, on a machine that has much to do.
const SLACK: Duration = Duration::from_secs(2);

/// How often silence is tried until the endpoint is left alone for it.
const TRIES: usize = 3;

/// What a relay may have more of memory after all that.
const GROWTH_KIB_MAX: u64 = 32 * 1024;

/// A breaker that is quick, and little memory.
const CONFIG: &str = "connect_ms = 1000\nin_flight_max = 1\nmessage_bytes_max = 1048576\n\
                      [kserve.breaker]\nfailures = 1\nopen_ms = 300\n";

/// A daemon with a model at an engine, `far`, and one that is here.
struct Scene {
    engine: Wild,
    daemon: Daemon,
    client: Client,
    beside: Beside,
    workers: Vec<u32>,
}

/// Whoever calls the model that is here, all the time.
struct Beside {
    is_over: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    calling: JoinHandle<()>,
}

/// What the daemon and the relays hold.
#[derive(Debug)]
struct Held {
    fds: usize,
    kib: u64,
}

/// A model.toml of the engine's model.
fn manifest(address: &str, more: &str) -> String {
    format!("placement = \"kserve\"\n[kserve]\nendpoints = [{address:?}]\nmodel = \"add\"\n{more}")
}

fn remote(address: &str) -> String {
    format!("\n[remote]\nendpoints = [{address:?}]\n")
}

// === impl Beside ===

impl Beside {
    fn start(client: Client) -> Self {
        let (is_over, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (ends, counts) = (Arc::clone(&is_over), Arc::clone(&answers));
        let calling = tokio::spawn(async move {
            while !ends.load(Ordering::Relaxed) {
                let answer = add(&client, "here", (&[1.0, 2.0], &[3.0, 4.0]), Some(PATIENT)).await;
                assert_eq!(answer.unwrap(), [4.0, 6.0]);
                counts.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self {
            is_over,
            answers,
            calling,
        }
    }

    fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.calling.await.unwrap();
    }
}

// === impl Scene ===

impl Scene {
    async fn start() -> Self {
        Self::start_with("", CONFIG).await
    }

    /// With so much before and in `[kserve]`.
    async fn start_with(before: &str, config: &str) -> Self {
        let engine = Wild::start();
        let address = engine.address();
        let daemon = Daemon::builder().with_sections(&remote(&address)).start();
        let manifest = manifest(&address, config);
        place(&daemon, "far", &format!("{before}{manifest}"));
        daemon.load("here", &tiny_model("add-f32"));
        let client = daemon.client();
        let beside = Beside::start(daemon.client());
        let mut scene = Self {
            engine,
            daemon,
            client,
            beside,
            workers: Vec::new(),
        };
        scene.recovers("at first").await;
        scene.workers = block_in_place(|| scene.daemon.workers());
        assert_eq!(scene.workers.len(), 2);
        scene
    }

    async fn call(&self, within: Duration) -> Result<Vec<f32>, Fault> {
        add(
            &self.client,
            "far",
            (&[1.0, 2.0], &[0.5, 0.25]),
            Some(within),
        )
        .await
    }

    /// All rows, one after the other; nothing is left of them.
    async fn play(self, rows: &[Row], within: Duration) {
        let before = self.held();
        for row in rows {
            self.one(row, within).await;
        }
        let left = || {
            let held = self.held();
            held.fds <= before.fds && held.kib <= before.kib + GROWTH_KIB_MAX
        };
        until("what they held is given back", SOON, left).await;
        let log = self.daemon.log();
        assert!(!log.contains('\u{1b}'), "an engine's words steer terminals");
        self.beside.end().await;
    }

    async fn one(&self, row: &Row, within: Duration) {
        let name = row.name;
        let answers = self.beside.answers();
        self.engine.set(row.act);
        let mut is_open = false;
        for _ in 0..TRIES {
            let begun = Instant::now();
            let fault = self.call(within).await.unwrap_err();
            let took = begun.elapsed();
            println!("{name}: {fault} ({} ms)", took.as_millis());
            assert!(took < within + SLACK, "{name}: after {took:?}: {fault}");
            judge(row, &fault);
            is_open = row.opens && self.is_left_alone().await;
            if is_open || !row.opens {
                break;
            }
        }
        assert_eq!(is_open, row.opens, "{name}: whether it is left alone");
        self.engine.set(Act::Right);
        if row.opens {
            self.recovers(name).await;
        } else {
            // Nobody had to wait for anything.
            assert_eq!(self.call(PATIENT).await.unwrap(), [1.5, 2.25], "{name}");
        }
        until("it is asked", SOON, || {
            self.state() == ("closed".to_owned(), 1)
        })
        .await;
        until("the other model is called", SOON, || {
            self.beside.answers() > answers
        })
        .await;
        assert_eq!(
            block_in_place(|| self.daemon.workers()),
            self.workers,
            "{name}"
        );
    }

    /// Whether the endpoint is soon said to be left alone; the relay says it ten times a second.
    async fn is_left_alone(&self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            let (state, asked) = block_in_place(|| self.state());
            if ["open", "unfit"].contains(&state.as_str()) && asked == 0 {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// Until an answer comes.
    async fn recovers(&self, what: &str) {
        let begun = Instant::now();
        loop {
            match self.call(PATIENT).await {
                Ok(answer) => return assert_eq!(answer, [1.5, 2.25]),
                Err(fault) => assert!(begun.elapsed() < SOON, "{what}: {fault}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What is told of the endpoint: its breaker, and the metric.
    fn state(&self) -> (String, u64) {
        let told = self.daemon.json(&["describe", "far"]);
        let state = told["model"]["endpoints"][0]["state"].as_str().unwrap();
        let metrics = nnctl(&self.daemon, &["metrics"]).ok().stdout;
        let mut lines = metrics.lines();
        let line = lines.find(|line| line.starts_with("nn_model_endpoint_asked{"));
        let (_, value) = line.unwrap().rsplit_once(' ').unwrap();
        (state.to_owned(), value.parse().unwrap())
    }

    fn held(&self) -> Held {
        let pids = self.workers.iter().copied().chain([self.daemon.pid()]);
        let states: Vec<ProcState> = pids.map(|pid| ProcState::of(pid).unwrap()).collect();
        Held {
            fds: states.iter().map(|state| state.fds).sum(),
            kib: states.iter().map(|state| state.anonymous_kib).sum(),
        }
    }
}

/// What a caller reads.
fn judge(row: &Row, fault: &Fault) {
    let name = row.name;
    let reason = fault.reason.unwrap();
    assert!(row.reasons.contains(&reason), "{name}: {fault}");
    assert_eq!(fault.code, reason.code(), "{name}: {fault}");
    let text = fault.to_string();
    assert!(!text.contains("EVIL"), "{name}: an engine's words: {text}");
    assert!(!text.chars().any(char::is_control), "{name}: {text:?}");
    assert!(
        text.len() < 1000 && !fault.hint.is_empty(),
        "{name}: {text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_none_are_refused_each_for_its_reason() {
    require_backends!();
    Scene::start().await.play(rows::ANSWERS, PATIENT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_engine_says_of_a_call_is_the_call_s_and_its_words_are_for_the_log() {
    require_backends!();
    Scene::start().await.play(rows::STATUSES, PATIENT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_end_or_speak_nonsense_end_their_calls() {
    require_backends!();
    Scene::start().await.play(rows::ENDS, PATIENT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_that_are_slow_cost_a_deadline_and_are_left_alone() {
    require_backends!();
    // The operator's bound: a deadline that a client alone has chosen speaks against nobody.
    let bound = format!("compute_ms_max = {}\n", SHORT.as_millis());
    let scene = Scene::start_with(&bound, CONFIG).await;
    scene.play(rows::SLOW, SHORT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_do_not_come_about_are_said_and_made_anew() {
    require_backends!();
    Scene::start().await.play(rows::CONNECTIONS, PATIENT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_end_their_connection_and_others_are_served_meanwhile() {
    require_backends!();
    Scene::start().await.play(rows::FLOODS, PATIENT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_an_endpoint_are_told() {
    require_backends!();
    let scene = Scene::start().await;
    let address = scene.engine.address();
    let row = &rows::ENDS[0];
    scene.one(row, PATIENT).await;
    let printed =
        block_in_place(|| nnctl(&scene.daemon, &["--json", "events", "--kind", "endpoint"]).ok());
    let told: Vec<serde_json::Value> = printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let details: Vec<&str> = told
        .iter()
        .map(|of| of["detail"].as_str().unwrap())
        .collect();
    let expected = [
        format!("{address}: open (remote-lost)"),
        format!("{address}: closed"),
    ];
    assert_eq!(details, expected);
    assert_eq!(scene.engine.calls(), 3, "nothing was sent twice");
    scene.beside.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_cannot_be_is_not_loaded_and_the_reason_said() {
    require_backends!();
    let engine = Wild::start();
    let address = engine.address();
    let daemon = Daemon::builder().with_sections(&remote(&address)).start();
    daemon.load("here", &tiny_model("add-f32"));
    let beside = Beside::start(daemon.client());
    for (name, act, reason) in rows::MODELS {
        engine.set(*act);
        let begun = Instant::now();
        let refused = block_in_place(|| refused(&daemon, &manifest(&address, CONFIG)));
        println!("{name}: {refused}");
        assert!(
            begun.elapsed() < SHORT + SLACK,
            "{name}: {:?}",
            begun.elapsed()
        );
        assert!(refused.contains(reason.id()), "{name}: {refused}");
        assert!(!refused.contains('\u{1b}'), "{name}: {refused:?}");
        assert_eq!(block_in_place(|| daemon.models()).len(), 1, "{name}");
    }
    engine.set(Act::Right);
    block_in_place(|| place(&daemon, "far", &manifest(&address, CONFIG)));
    let answer = add(&daemon.client(), "far", (&[1.0], &[2.0]), Some(PATIENT)).await;
    assert_eq!(answer.unwrap(), [3.0]);
    beside.end().await;
}

/// What nnctl says of a model that is not loaded.
fn refused(daemon: &Daemon, manifest: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    let path = file.path().to_str().unwrap();
    let refused = nnctl(daemon, &["load", "far", "--manifest", path]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    refused.stderr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_left_alone_is_not_asked() {
    require_backends!();
    let scene = Scene::start_with("", &CONFIG.replace("open_ms = 300", "open_ms = 60000")).await;
    scene.engine.set(rows::ENDS[0].act);
    let fault = scene.call(PATIENT).await.unwrap_err();
    assert_eq!(fault.reason, Some(Reason::RemoteLost), "{fault}");
    let calls = scene.engine.calls();
    let fault = scene.call(PATIENT).await.unwrap_err();
    assert_eq!(fault.reason, Some(Reason::RemoteRefused), "{fault}");
    assert_eq!(scene.engine.calls(), calls);
    scene.beside.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_beyond_a_message_are_the_caller_s_and_are_not_sent() {
    require_backends!();
    let scene = Scene::start().await;
    let calls = scene.engine.calls();
    let many = vec![1.0; 200_000];
    let fault = add(&scene.client, "far", (&many, &many), Some(PATIENT)).await;
    let fault = fault.unwrap_err();
    assert_eq!(fault.reason, Some(Reason::RemoteMessage), "{fault}");
    assert_eq!(scene.engine.calls(), calls);
    // As much as goes into one, in many frames and over many windows.
    let fewer = &many[..100_000];
    let answer = add(&scene.client, "far", (fewer, fewer), Some(PATIENT)).await;
    assert_eq!(answer.unwrap(), vec![2.0; 100_000]);
    scene.beside.end().await;
}
