//! `nnctl bench`: how many computes of a model there are in a second, and how long each takes, as a guest sees it: by a
//! session, tensors in shared memory, every input copied in and every output copied out. Rooms in shared memory are
//! reused, as by any client.

mod inputs;
mod lane;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nn_client::Client;
use nn_tensor::{Fault, ModelRef, Shape, Tenant, TensorName};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::inputs::{Origin, Tensor};
use self::lane::{Caller, Lane};
use crate::cli;
use crate::failure::Failure;
use crate::npy::Array;
use crate::output::{Paint, Report, Table, facts, micros};

/// Calls that are counted at most, all lanes together: four bytes each. A run that has as many ends.
const CALLS_MAX: usize = 32 << 20;

/// A run that is fit to be made.
#[derive(Debug)]
pub(crate) struct Request {
    model: ModelRef,
    tenant: Tenant,
    files: Vec<(TensorName, Array)>,
    shapes: Vec<(String, Shape)>,
    concurrency: u16,
    length: Duration,
    limit: Duration,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    model: String,
    concurrency: u16,
    inputs: Vec<InputView>,
    elapsed_us: u64,
    /// Those that gave outputs; the others below are those alone.
    calls: usize,
    calls_per_second: f64,
    p50_us: u32,
    p90_us: u32,
    p99_us: u32,
    max_us: u32,
    failed: u64,
    failures: Vec<FailuresView>,
}

/// What one input was.
#[derive(Debug, Serialize)]
struct InputView {
    name: String,
    dtype: &'static str,
    shape: Vec<u32>,
    bytes: u64,
    /// Made up; else it came from a file.
    random: bool,
}

/// Calls that failed alike.
#[derive(Debug, Serialize)]
struct FailuresView {
    code: &'static str,
    count: u64,
}

/// Reads the files; refuses what the daemon need not be asked about.
pub(crate) fn check(args: cli::Bench) -> Result<Request, Failure> {
    let mut files = Vec::with_capacity(args.inputs.len());
    for input in &args.inputs {
        let name = TensorName::new(&input.name).map_err(Failure::usage)?;
        files.push((name, Array::read(&input.path).map_err(Fault::from)?));
    }
    Ok(Request {
        model: args.model,
        tenant: args.tenant,
        files,
        shapes: args.shapes.into_iter().map(|s| (s.name, s.shape)).collect(),
        concurrency: args.concurrency,
        length: Duration::from_secs(args.seconds),
        limit: Duration::from_secs(args.timeout),
    })
}

/// Computes once, which loads the model and maps what it needs, and then for as long as was asked for.
pub(crate) async fn run(socket: &Path, request: Request) -> Result<Measured, Failure> {
    let client = Client::new(socket.to_path_buf(), request.tenant.clone());
    client.connect().await?;
    let reference = request.model.to_string();
    let resolving = client.resolve(&reference);
    let Ok(graph) = tokio::time::timeout(request.limit, resolving).await else {
        return Err(Failure::late("bench", request.limit));
    };
    let graph = graph?;
    let planned = inputs::plan(graph.signature(), request.files, &request.shapes)?;
    let mut tensors = Vec::with_capacity(planned.len());
    for (seed, plan) in (0..).zip(planned) {
        // Asked for first: bytes that no arena would hold are not made.
        drop(graph.reserve(plan.bytes).await?);
        tensors.push(plan.fill(seed)?);
    }
    let tensors: Arc<[Tensor]> = tensors.into();
    let mut first = Caller::new(&graph, &tensors, request.limit);
    first.call().await?;

    let start = Instant::now();
    let calls_max = CALLS_MAX / usize::from(request.concurrency);
    let mut lanes = JoinSet::new();
    for _ in 0..request.concurrency {
        let caller = Caller::new(&graph, &tensors, request.limit);
        lanes.spawn(caller.until(start + request.length, calls_max));
    }
    let lanes = lanes.join_all().await;
    let elapsed = start.elapsed();

    let inputs = tensors.iter().map(InputView::from).collect();
    let reference = format!("{}@{}", graph.name(), graph.version());
    measured((reference, inputs), lanes, elapsed)
}

fn measured(
    (model, inputs): (String, Vec<InputView>),
    lanes: Vec<Lane>,
    elapsed: Duration,
) -> Result<Measured, Failure> {
    let concurrency = u16::try_from(lanes.len()).unwrap_or(u16::MAX);
    let (mut took_us, mut last) = (Vec::new(), None);
    let mut failures = BTreeMap::<&str, u64>::new();
    for lane in lanes {
        took_us.extend(lane.took_us);
        for (code, count) in lane.failed {
            let of = failures.entry(code).or_default();
            *of = count.saturating_add(*of);
        }
        last = lane.last.or(last);
    }
    took_us.sort_unstable();
    let Some(&max_us) = took_us.last() else {
        let none = || Fault::runtime("no call was made");
        return Err(Failure::from(last.unwrap_or_else(none)));
    };
    let calls = took_us.len();
    Ok(Measured {
        model,
        concurrency,
        inputs,
        elapsed_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        calls,
        calls_per_second: per_second(calls, elapsed),
        p50_us: quantile(&took_us, 50),
        p90_us: quantile(&took_us, 90),
        p99_us: quantile(&took_us, 99),
        max_us,
        failed: failures.values().sum(),
        failures: failures
            .into_iter()
            .map(|(code, count)| FailuresView { code, count })
            .collect(),
    })
}

/// To a hundredth.
fn per_second(calls: usize, elapsed: Duration) -> f64 {
    let calls = u32::try_from(calls).map_or(f64::INFINITY, f64::from);
    let exact = calls / elapsed.as_secs_f64().max(f64::EPSILON);
    (exact * 100.0).round() / 100.0
}

/// The smallest of the sorted lengths that so many percent of them do not exceed.
fn quantile(sorted: &[u32], percent: usize) -> u32 {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100);
    let at = rank.saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

// === impl Measured ===

impl Report for Measured {
    fn text(&self, paint: Paint) -> String {
        let mut about = vec![
            ("model", self.model.clone()),
            ("at once", self.concurrency.to_string()),
        ];
        about.extend(self.inputs.iter().map(|input| ("input", input.text())));
        let failures = self.failures.iter();
        about.extend(failures.map(|of| ("failed", format!("{} {}", of.count, of.code))));
        let mut table = Table::new(&[
            "CALLS",
            "FAILED",
            "IN",
            "PER SECOND",
            "P50",
            "P90",
            "P99",
            "MAX",
        ]);
        table.row([
            self.calls.to_string(),
            self.failed.to_string(),
            micros(self.elapsed_us),
            format!("{:.1}", self.calls_per_second),
            micros(self.p50_us.into()),
            micros(self.p90_us.into()),
            micros(self.p99_us.into()),
            micros(self.max_us.into()),
        ]);
        format!("{}\n{}", facts(&about, paint), table.render(paint))
    }
}

// === impl InputView ===

impl InputView {
    /// `x fp32 [1, 3], random`.
    fn text(&self) -> String {
        let from = if self.random { "random" } else { "of a file" };
        format!("{} {} {:?}, {from}", self.name, self.dtype, self.shape)
    }
}

impl From<&Tensor> for InputView {
    fn from(tensor: &Tensor) -> Self {
        Self {
            name: tensor.name.as_str().to_owned(),
            dtype: tensor.array.dtype.name(),
            shape: tensor.array.shape.dims().to_vec(),
            bytes: u64::try_from(tensor.array.bytes.len()).unwrap_or(u64::MAX),
            random: tensor.origin == Origin::Random,
        }
    }
}

#[cfg(test)]
mod tests;
