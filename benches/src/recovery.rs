//! `nn-bench recovery`: what the death of a worker costs its callers. A worker is killed in the middle of a compute; how
//! long until its caller is told, and until the next call is answered, with a spare that waits and without. Each round has
//! a daemon of its own: a worker that dies again soon is started after a pause, which is not what is measured.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nn_client::{Client, Graph, Input};
use nn_proto::v1;
use nn_proto::v1::models_client::ModelsClient;
use nn_tensor::{Code, DType, Shape, Tenant, TensorName};
use tokio::time::sleep;

use crate::daemon::Daemon;
use crate::models;
use crate::procs::{Placement, talk};
use crate::report::{line, number};
use crate::setting::Setting;
use crate::stats::Samples;

const ROUNDS: usize = 30;
const ROUNDS_QUICK: usize = 4;

/// Pictures in the call that is to be killed: it takes long enough to be met.
const PICTURES: u32 = 16;

/// Bytes of one picture.
const PICTURE: usize = 3 * 224 * 224 * 4;

/// How long anything here may take.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Of one way to run the daemon.
#[derive(Debug, Default)]
struct Times {
    /// From the kill to the answer of the compute in flight.
    told: Vec<u64>,
    /// From the kill to the answer of the next.
    next: Vec<u64>,
    /// A call while nothing is wrong.
    usual: Vec<u64>,
}

/// The workers of the model: the one that serves, and whether another waits.
#[derive(Clone, Copy, Debug)]
struct Workers {
    serves: u32,
    spare: bool,
    in_flight: u32,
}

pub(crate) fn run(setting: &Setting) -> Result<ExitCode> {
    ensure!(setting.guests.is_dir(), "there are no guests");
    let dir = setting.begin()?;
    let repository = dir.path().join(models::EFFICIENTNET);
    let mut noise = setting.noise();
    let rounds = if setting.quick { ROUNDS_QUICK } else { ROUNDS };
    let mut all = [Times::default(), Times::default()];
    for round in 0..rounds {
        talk(&format!("recovery: round {} of {rounds}", round + 1));
        for (index, times) in all.iter_mut().enumerate() {
            noise.wait();
            let mut start = setting.start(Placement::Free, &repository);
            start.warm_spare = index == 1;
            let daemon = Daemon::start(&start)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let socket = daemon.socket();
            let measured = one_round(&socket, start.warm_spare, times);
            runtime.block_on(async { tokio::time::timeout(WAIT_MAX, measured).await })??;
        }
    }
    print(&all);
    Ok(ExitCode::SUCCESS)
}

async fn one_round(socket: &Path, warm_spare: bool, times: &mut Times) -> Result<()> {
    let client = Client::new(socket.to_owned(), Tenant::default());
    let graph = client.resolve(models::EFFICIENTNET).await?;
    for _ in 0..3 {
        let input = pictures(&graph, 1).await?;
        let begun = Instant::now();
        graph.compute(vec![input], None).await?;
        times.usual.push(nanos(begun)?);
    }
    let workers = loop {
        let workers = workers(socket).await?;
        if workers.spare == warm_spare && workers.serves != 0 {
            break workers;
        }
        sleep(Duration::from_millis(20)).await;
    };
    let (many, next) = (
        pictures(&graph, PICTURES).await?,
        pictures(&graph, 1).await?,
    );
    let doomed = tokio::spawn({
        let graph = Arc::clone(&graph);
        async move { (graph.compute(vec![many], None).await.err(), Instant::now()) }
    });
    while self::workers(socket).await?.in_flight == 0 {
        ensure!(
            !doomed.is_finished(),
            "the call that was to be killed was too short"
        );
        sleep(Duration::from_millis(2)).await;
    }
    let killed = Instant::now();
    kill(Pid::from_raw(workers.serves.try_into()?), Signal::SIGKILL)?;
    let (fault, told) = doomed.await?;
    let fault = fault.context("the call that was to be killed was answered")?;
    ensure!(fault.code == Code::BackendCrashed, "{fault}");
    graph.compute(vec![next], None).await?;
    times.next.push(nanos(killed)?);
    let told = told.saturating_duration_since(killed);
    times.told.push(u64::try_from(told.as_nanos())?);
    Ok(())
}

async fn pictures(graph: &Arc<Graph>, count: u32) -> Result<Input> {
    let bytes = vec![0_u8; PICTURE * usize::try_from(count)?];
    let slot = graph.reserve(u64::try_from(bytes.len())?).await?;
    slot.copy_from(&bytes)?;
    Ok(Input {
        name: TensorName::new("images")?,
        dtype: DType::Fp32,
        shape: Shape::new(&[count, 3, 224, 224])?,
        slot,
    })
}

async fn workers(socket: &Path) -> Result<Workers> {
    let mut models = ModelsClient::new(nn_client::channel(socket).await?);
    let list = models.list(v1::ListRequest {}).await?.into_inner();
    let model = list.models.first().context("a model")?;
    let serves = model.instances.iter().find(|instance| !instance.spare);
    Ok(Workers {
        serves: serves.map_or(0, |instance| instance.pid),
        spare: model.instances.iter().any(|instance| instance.spare),
        in_flight: serves.map_or(0, |instance| instance.in_flight),
    })
}

fn nanos(since: Instant) -> Result<u64> {
    Ok(u64::try_from(since.elapsed().as_nanos())?)
}

fn print(all: &[Times; 2]) {
    let mut text = String::new();
    line(
        &mut text,
        "### A worker of efficientnet-lite0 killed in mid-compute\n",
    );
    line(
        &mut text,
        "| | rounds | caller told, p50 ms | p99 ms | next answer, p50 ms | p99 ms | a call as usual, p50 ms |",
    );
    line(&mut text, "|---|--:|--:|--:|--:|--:|--:|");
    for (name, times) in ["no spare", "warm spare"].into_iter().zip(all) {
        let row = [
            Samples::of(&times.told),
            Samples::of(&times.next),
            Samples::of(&times.usual),
        ];
        let [told, next, usual] = &row;
        let cells = [
            told.p50_us(),
            told.p99_us(),
            next.p50_us(),
            next.p99_us(),
            usual.p50_us(),
        ];
        let cells = cells.map(|us| number(us / 1000.0)).join(" | ");
        line(
            &mut text,
            &format!("| {name} | {} | {cells} |", told.calls()),
        );
    }
    let _closed_pipe = std::io::stdout().write_all(text.as_bytes());
}
