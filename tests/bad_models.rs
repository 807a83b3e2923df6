//! Hundreds of bad models, each loaded through the whole path while another tenant computes: the daemon lives, the other
//! gets every answer and gets it right, each bad model is answered before its deadline, and no worker takes more memory
//! than its budget. `cargo xtask soak bad_models` adds as many sets of random changes as it has rounds.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

#[path = "bad_models/bad.rs"]
mod bad;
#[path = "bad_models/framework.rs"]
mod framework;
#[path = "bad_models/functions.rs"]
mod functions;
#[path = "bad_models/mutated.rs"]
mod mutated;
#[path = "bad_models/parts.rs"]
mod parts;
#[path = "bad_models/vetted.rs"]
mod vetted;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bad::{Bad, bad};
use nn_client::{Client, Format, Graph, Input};
use nn_tensor::{Code, DType, Dim, Fault, Shape, TensorSpec};
use nn_tests::{
    Daemon, ProcState, fake_model, is_running, require_backends, soak_rounds, tiny_model,
    wait_until,
};

const LOAD: Duration = Duration::from_secs(5);
const COMPUTE: Duration = Duration::from_secs(1);
const BUDGET_KIB: u64 = 256 * 1024;

/// What the daemon may take besides a deadline; and what two busy cores may take besides that, now and then.
const OVERSTAY: Duration = Duration::from_millis(100);
const BUSY: Duration = Duration::from_secs(3);

/// How long a framework may go on by itself when a compute's time is over, before its worker is killed.
const GRACE: Duration = Duration::from_millis(250);

/// So many of a hundred answers are there without what the machine takes.
const PROMPT_PERCENT: usize = 95;

/// What a loaded model is computed with, at most.
const INPUT_BYTES_MAX: u64 = 1 << 20;

fn daemon() -> Daemon {
    let limits = format!(
        "load_ms_max = {}\ncompute_ms_max = {}\nworker_memory_bytes = {}\ntensor_bytes_max = {}",
        LOAD.as_millis(),
        COMPUTE.as_millis(),
        BUDGET_KIB * 1024,
        64 << 20,
    );
    Daemon::builder().with_limits(&limits).start()
}

/// Those made by hand, and so many sets of random changes.
fn all(sets: u32) -> Vec<Bad> {
    [
        vetted::all(),
        functions::all(),
        framework::all(),
        mutated::all(sets),
    ]
    .concat()
}

/// An input of zeros that fits, if there is a small one.
async fn zeros(graph: &Graph, spec: &TensorSpec) -> Option<Input> {
    let dims = spec.dims.as_deref().unwrap_or_default().iter();
    let dims: Vec<u32> = dims
        .map(|dim| match *dim {
            Dim::Fixed(fixed) => fixed,
            Dim::Any => 1,
        })
        .collect();
    let shape = Shape::new(&dims).ok()?;
    let len = shape.byte_len(spec.dtype).ok()?;
    let len = Some(len).filter(|&len| len <= INPUT_BYTES_MAX)?;
    let slot = graph.reserve(len).await.ok()?;
    slot.copy_from(&vec![0; usize::try_from(len).ok()?]).ok()?;
    Some(Input {
        name: spec.name.clone(),
        dtype: spec.dtype,
        shape,
        slot,
    })
}

/// How punctual the answers are.
#[derive(Debug, Default)]
struct Clock {
    answers: usize,
    prompt: usize,
    /// Of those that ran into their deadline: how long after it they came.
    late: Vec<Duration>,
}

impl Clock {
    /// An answer to what had so long, and then `grace` to stop.
    fn answered<T>(
        &mut self,
        what: &str,
        (begun, allowed, grace): (Instant, Duration, Duration),
        answer: Result<T, Fault>,
    ) -> Result<T, Fault> {
        let took = begun.elapsed();
        assert!(
            took <= allowed + grace + OVERSTAY + BUSY,
            "{what} took {took:?}"
        );
        self.answers += 1;
        self.prompt += usize::from(took <= allowed + grace + OVERSTAY);
        if matches!(&answer, Err(fault) if fault.code == Code::Timeout) {
            self.late.push(took.saturating_sub(allowed));
        }
        answer
    }

    /// Nearly all are prompt. Those that took all the time they had are few, and the machine may have held up one.
    fn judge(&self) {
        assert!(
            self.prompt * 100 >= self.answers * PROMPT_PERCENT,
            "{} of {} answers were in time",
            self.prompt,
            self.answers
        );
        let best = self.late.iter().min().expect("a loop without end");
        assert!(*best <= OVERSTAY, "after the deadline: {:?}", self.late);
    }
}

/// Loads a model and computes with it once; what came of it.
async fn tried(client: &Client, bad: &Bad, clock: &mut Clock) -> Result<(), Fault> {
    let begun = Instant::now();
    let loaded = client
        .load(Format::Onnx, std::slice::from_ref(&bad.bytes))
        .await;
    let what = format!("{}: loading", bad.name);
    let graph = clock.answered(&what, (begun, LOAD, Duration::ZERO), loaded)?;
    let mut inputs = Vec::new();
    for spec in &graph.signature().inputs {
        if let Some(input) = zeros(&graph, spec).await {
            inputs.push(input);
        }
    }
    let begun = Instant::now();
    let computed = graph.compute(inputs, Some(COMPUTE)).await;
    let what = format!("{}: computing", bad.name);
    let computed = clock.answered(&what, (begun, COMPUTE, GRACE), computed);
    computed.map(drop)
}

/// Another tenant's computes, one after the other, until told to stop; every answer is right.
async fn echoes(client: Client, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) {
    let model = fs::read(tiny_model("identity-fp32")).unwrap();
    let graph = client.load(Format::Onnx, &[model]).await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let turn = count.fetch_add(1, Ordering::Relaxed);
        let bytes = turn.to_le_bytes();
        let slot = graph.reserve(8).await.unwrap();
        slot.copy_from(&bytes).unwrap();
        let input = Input {
            name: graph.signature().inputs[0].name.clone(),
            dtype: DType::Fp32,
            shape: Shape::new(&[2]).unwrap(),
            slot,
        };
        let outputs = graph.compute(vec![input], None).await;
        let outputs = outputs.expect("an answer, whatever others load");
        assert_eq!(
            outputs[0].slot.to_vec().unwrap(),
            bytes,
            "a neighbour's answer {turn}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The most private memory that any worker was seen with, in KiB.
async fn highest(pid: u32, stop: Arc<AtomicBool>) -> u64 {
    let mut highest = 0;
    while !stop.load(Ordering::Relaxed) {
        let workers = nn_tests::descendants(pid);
        let held = workers.into_iter().filter_map(ProcState::of);
        highest = highest.max(held.map(|state| state.anonymous_kib).max().unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    highest
}

#[test]
fn there_are_hundreds_of_bad_models_and_no_two_have_the_same_name() {
    let all = all(1);
    let names: BTreeSet<&str> = all.iter().map(|bad| bad.name.as_str()).collect();
    assert!(all.len() >= 400, "{}", all.len());
    assert_eq!(names.len(), all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_reports_another_signature_than_the_models_is_ended() {
    // Its model gives y, as the fake worker says of it.
    let honest = fs::read(fake_model("echo")).unwrap();
    let output = [0x62, 0x10, 0x0a, 0x01, b'y'];
    let at = honest.windows(5).position(|bytes| bytes == output).unwrap();
    let mut other = honest.clone();
    other[at + 4] = b'z';
    let daemon = Daemon::builder().with_worker("nn-worker-fake").start();
    let client = daemon.client();

    let refused = client.load(Format::Onnx, &[other]).await;

    assert!(refused.is_err());
    let gone = || daemon.workers().is_empty();
    wait_until("the liar is gone", Duration::from_secs(5), gone);
    let log = daemon.log();
    assert!(log.contains("a signature"), "{log}");
    client.load(Format::Onnx, &[honest]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_models_are_answered_in_time_and_harm_nobody() {
    require_backends!();
    let daemon = daemon();
    let (stop, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let other = Client::new(daemon.socket(), "other".parse().unwrap());
    let neighbour = tokio::spawn(echoes(other, Arc::clone(&stop), Arc::clone(&count)));
    let memory = tokio::spawn(highest(daemon.pid(), Arc::clone(&stop)));
    let client = daemon.client();
    let mut clock = Clock::default();
    let (mut refused, mut failed, mut computed, mut largest) = (0, 0, 0, 0);

    for bad in all(soak_rounds(1)) {
        let begun = Instant::now();
        let result = tried(&client, &bad, &mut clock).await;
        println!(
            "{:6} ms {}: {}",
            begun.elapsed().as_millis(),
            bad.name,
            shown(&result)
        );
        largest = largest.max(bad.bytes.len());
        match (bad.rule, &result) {
            (Some(rule), Err(fault)) => {
                let named = fault.message.contains(&format!("(rule {rule})"));
                assert!(named, "{}: not by rule {rule}: {fault}", bad.name);
                assert!(!fault.hint.is_empty(), "{}: {fault}", bad.name);
                assert!(
                    !fault.to_string().contains("passwd"),
                    "{}: {fault}",
                    bad.name
                );
                refused += 1;
            }
            (Some(rule), Ok(())) => panic!("{} was not refused by rule {rule}", bad.name),
            (None, Err(_)) => failed += 1,
            (None, Ok(())) => computed += 1,
        }
        assert!(
            !neighbour.is_finished(),
            "the neighbour gave up at {}",
            bad.name
        );
        assert!(is_running(daemon.pid()), "the daemon died of {}", bad.name);
    }

    stop.store(true, Ordering::Relaxed);
    neighbour.await.unwrap();
    let (highest, answers) = (memory.await.unwrap(), count.load(Ordering::Relaxed));
    println!(
        "{refused} refused, {failed} failed, {computed} computed; {answers} answers beside them; {highest} KiB at most"
    );
    assert!(answers > 100);
    println!("{clock:?}");
    clock.judge();
    let budget = BUDGET_KIB + 4 * u64::try_from(largest).unwrap() / 1024;
    assert!(highest <= budget + budget / 20, "{highest} KiB of {budget}");
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

fn shown(result: &Result<(), Fault>) -> String {
    match result {
        Ok(()) => "computed".to_owned(),
        Err(fault) => format!("{}: {}", fault.code, fault.message),
    }
}
