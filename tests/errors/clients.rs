//! What a client of the daemon gets back where limits are small, where time is short, and where a worker does not live.

use std::future::Future;
use std::pin::Pin;

use nn_tensor::{Fault, Reason};
use nn_tests::{Daemon, fake_model, require_backends, tiny_model};

use crate::acts;
use crate::judge::{Expected, Verdict, acquit, judge_fault};

type Act = for<'a> fn(&'a Daemon) -> Pin<Box<dyn Future<Output = Fault> + 'a>>;

/// A daemon of its own, and what is done to it until it answers with a fault.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) reason: Reason,
    /// Lines of `[limits]`.
    limits: &'static str,
    /// What is loaded: by ONNX Runtime, or by the worker without a framework.
    models: &'static [&'static str],
    is_fake: bool,
    act: Act,
    says: &'static [&'static str],
}

macro_rules! act {
    ($act:path) => {
        |daemon| Box::pin($act(daemon))
    };
}

const fn row(reason: Reason, limits: &'static str, act: Act, says: &'static [&'static str]) -> Row {
    Row {
        reason,
        limits,
        models: &["echo-f32"],
        is_fake: false,
        act,
        says,
    }
}

const fn with(mut row: Row, models: &'static [&'static str]) -> Row {
    row.models = models;
    row
}

const fn fake(mut row: Row, models: &'static [&'static str]) -> Row {
    row.models = models;
    row.is_fake = true;
    row
}

/// Everything.
pub(crate) const ROWS: &[Row] = &[
    row(
        Reason::DaemonUnreachable,
        "",
        act!(acts::nobody),
        &["nn-daemon must be running"],
    ),
    row(
        Reason::TenantDenied,
        "",
        act!(acts::stranger),
        &["for tenant stranger", "[tenants]"],
    ),
    row(
        Reason::SessionsFull,
        "sessions_per_uid_max = 1",
        act!(acts::another_session),
        &["at most 1", "limits.sessions_per_uid_max"],
    ),
    row(
        Reason::GraphsFull,
        "graphs_per_session_max = 1",
        act!(acts::another_graph),
        &["at most 1", "limits.graphs_per_session_max"],
    ),
    row(
        Reason::TensorTooLarge,
        "tensor_bytes_max = 1048576",
        act!(acts::large),
        &[
            "at most 1048576 bytes",
            "got: 2097152 bytes",
            "limits.tensor_bytes_max",
        ],
    ),
    row(
        Reason::ArenaFull,
        "arena_bytes_per_tenant_max = 4194304\nsegment_bytes = 1048576",
        act!(acts::hoard),
        &["drop tensors"],
    ),
    row(
        Reason::InputsTooMany,
        "",
        act!(acts::many),
        &["at most 128", "got: 129"],
    ),
    row(
        Reason::TenantModelsFull,
        "guest_models_per_tenant_max = 1",
        act!(acts::two_models),
        &["at most 1", "limits.guest_models_per_tenant_max"],
    ),
    row(
        Reason::TenantModelBytesFull,
        "guest_model_bytes_per_tenant_max = 64",
        act!(acts::one_model),
        &[
            "at most 64 bytes",
            "limits.guest_model_bytes_per_tenant_max",
        ],
    ),
    row(
        Reason::ModelTooLarge,
        "guest_model_bytes_max = 64",
        act!(acts::one_model),
        &["at most 64 bytes", "nnctl load"],
    ),
    row(
        Reason::WorkersFull,
        "workers_max = 1",
        act!(acts::beside_a_pinned_one),
        &["at most 1 workers", "limits.workers_max"],
    ),
    row(
        Reason::WorkersMemoryFull,
        "worker_memory_bytes = 268435456\nworkers_memory_bytes_max = 300000000",
        act!(acts::beside_a_pinned_one),
        &["at most 300000000 bytes", "limits.workers_memory_bytes_max"],
    ),
    with(
        row(
            Reason::WorkerTooLarge,
            "worker_memory_bytes = 268435456\nworkers_memory_bytes_max = 200000000",
            act!(acts::one_model),
            &["at most 200000000 bytes", "limits.workers_memory_bytes_max"],
        ),
        &[],
    ),
    with(
        row(
            Reason::InFlightFull,
            "in_flight_per_session_max = 1",
            act!(acts::beside_a_slow_one),
            &["at most 1"],
        ),
        &["slow-f32"],
    ),
    with(
        row(
            Reason::DeadlineRunning,
            "",
            act!(acts::short),
            &["within 100 ms", "ms in the queue", "ms of computing"],
        ),
        &["slow-f32"],
    ),
    with(
        row(
            Reason::DeadlineQueued,
            "worker_window = 1",
            act!(acts::behind_a_slow_one),
            &["within 100 ms", "ms in the queue"],
        ),
        &["slow-f32"],
    ),
    with(
        row(
            Reason::DeadlineUnanswered,
            "",
            act!(acts::stopped),
            &["within 100 ms"],
        ),
        &["echo-f32"],
    ),
    fake(
        row(
            Reason::DeadlineRunning,
            "compute_grace_ms = 50",
            act!(acts::deaf),
            &["its worker was killed"],
        ),
        &["deaf"],
    ),
    fake(
        row(
            Reason::WorkerCrashed,
            "",
            act!(acts::crash),
            &["crashed (SIGSEGV)"],
        ),
        &["crash"],
    ),
    fake(
        row(
            Reason::ModelQuarantined,
            "",
            act!(acts::crash_again),
            &["3 by crash", "nnctl quarantine lift"],
        ),
        &["crash"],
    ),
    fake(
        row(
            Reason::LoadCrashed,
            "quarantine_crashes = 100",
            act!(acts::broken),
            &["while it loaded the model"],
        ),
        &[],
    ),
];

async fn verdict(row: &Row) -> Verdict {
    let mut builder = Daemon::builder().with_limits(row.limits);
    if row.is_fake {
        builder = builder.with_worker("nn-worker-fake");
    }
    if row.reason == Reason::TenantDenied {
        builder = builder.with_sections("[tenants.stranger]\nuids = [4294967290]\n");
    }
    let mut daemon = builder.start();
    for &model in row.models {
        let path = if row.is_fake {
            fake_model(model)
        } else {
            tiny_model(model)
        };
        // The helper of slow computes knows it by that name.
        let name = if model == "slow-f32" { "slow" } else { model };
        daemon.load(name, &path);
    }
    let fault = (row.act)(&daemon).await;
    let expected = Expected {
        reason: row.reason,
        says: row.says,
        logged: false,
    };
    let name = format!("{} with {:?}", row.reason, row.limits);
    let verdict = judge_fault(&name, &fault, &expected, Some(&daemon));
    // Nobody waits for what it still computes.
    daemon.kill();
    verdict
}

async fn verdicts(part: usize) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for row in ROWS.iter().skip(part).step_by(PARTS) {
        verdicts.push(verdict(row).await);
    }
    verdicts
}

/// So many tests share the rows, for each has a daemon of its own.
const PARTS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_or_late_or_dead_says_so_to_its_client() {
    require_backends!();
    acquit(verdicts(0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_or_late_or_dead_says_so_to_its_client_too() {
    require_backends!();
    acquit(verdicts(1).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_or_late_or_dead_says_so_to_its_client_as_well() {
    require_backends!();
    acquit(verdicts(2).await);
}
