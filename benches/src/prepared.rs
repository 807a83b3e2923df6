//! `nn-bench prepared`: what it is worth that models are prepared once (ADR 24). Each model on each framework is loaded by a daemon that
//! knows nothing of it, and by the next one, which finds what the first has prepared; and the memory of one worker and of four is read, once
//! without what was prepared and once with it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nn_client::Client;
use nn_proto::v1;
use nn_proto::v1::models_client::ModelsClient;
use nn_tensor::Tenant;

use crate::daemon::Daemon;
use crate::procs::{self, Placement, talk};
use crate::report::{line, number};
use crate::setting::Setting;

const ROUNDS: usize = 15;
const ROUNDS_QUICK: usize = 2;

/// Workers of the larger pool.
const MANY: usize = 4;

/// How long anything here may take.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Nothing is prepared within the life of such a daemon.
const NEVER: &str = "prepare_after_ms = 3600000";

/// Everything is, at once.
const AT_ONCE: &str = "prepare_after_ms = 0";

const KIB_PER_MIB: f64 = 1024.0;

/// One model on one framework.
struct Row {
    name: String,
    first_us: Vec<u64>,
    second_us: Vec<u64>,
    /// Without, and with what was prepared: of one worker, and of many, in KiB.
    memory: [[u64; 2]; 2],
    prepared_bytes: u64,
}

/// Where one model lies, and what is kept of it.
struct Place<'a> {
    setting: &'a Setting,
    openvino: &'a Path,
    backend: &'a str,
    repository: PathBuf,
    state: PathBuf,
}

pub(crate) fn run(setting: &Setting) -> Result<ExitCode> {
    let dir = setting.begin()?;
    let openvino = openvino(&setting.runtime);
    let rounds = if setting.quick { ROUNDS_QUICK } else { ROUNDS };
    let mut noise = setting.noise();
    let mut rows = Vec::new();
    for model in setting.real_models()? {
        for backend in ["onnxruntime", "openvino"] {
            if backend == "openvino" && !openvino.is_file() {
                talk("prepared: there is no OpenVINO; its rows are left out");
                continue;
            }
            talk(&format!("prepared: {} on {backend}", model.display()));
            let place = Place::make(setting, &openvino, dir.path(), (&model, backend))?;
            let mut row = Row {
                name: format!("{}, {backend}", place.model()),
                first_us: Vec::new(),
                second_us: Vec::new(),
                memory: [[0; 2]; 2],
                prepared_bytes: 0,
            };
            for _ in 0..rounds {
                noise.wait();
                place.one_round(&mut row)?;
            }
            rows.push(row);
        }
    }
    print(&rows);
    Ok(ExitCode::SUCCESS)
}

/// Beside the other framework; a file that is not there where it is not.
fn openvino(onnxruntime: &Path) -> PathBuf {
    let runtimes = onnxruntime.parent().and_then(Path::parent);
    let folder = runtimes.unwrap_or(Path::new("/")).join("openvino");
    let files = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut files = files.map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("libopenvino_c.so"))
    };
    let found = files.find(is_it);
    found.unwrap_or_else(|| folder.join("libopenvino_c.so"))
}

// === impl Place ===

impl<'a> Place<'a> {
    fn make(
        setting: &'a Setting,
        openvino: &'a Path,
        dir: &Path,
        (model, backend): (&Path, &'a str),
    ) -> Result<Self> {
        let name = model.file_name().context("a model without a name")?;
        let repository = dir.join(format!("prepared-{backend}")).join(name);
        let version = repository.join(name).join("1");
        fs::create_dir_all(&version)?;
        fs::copy(model.join("1/model.onnx"), version.join("model.onnx"))?;
        let state = repository.with_extension("state");
        Ok(Self {
            setting,
            openvino,
            backend,
            repository,
            state,
        })
    }

    fn model(&self) -> String {
        let name = self.repository.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn one_round(&self, row: &mut Row) -> Result<()> {
        let _nothing_there = fs::remove_dir_all(&self.state);
        let (first, one) = self.loaded(1, AT_ONCE, true)?;
        row.first_us.push(first);
        let (second, one_prepared) = self.loaded(1, NEVER, false)?;
        row.second_us.push(second);
        let (_, many_prepared) = self.loaded(MANY, NEVER, false)?;
        row.prepared_bytes = prepared_bytes(&self.state).context("it has vanished")?;
        fs::remove_dir_all(self.state.join("prepared"))?;
        let (_, many) = self.loaded(MANY, NEVER, false)?;
        row.memory = [[one, many], [one_prepared, many_prepared]];
        Ok(())
    }

    /// How long a daemon's load of it took, and what its workers have when so many serve.
    fn loaded(&self, workers: usize, limits: &str, prepares: bool) -> Result<(u64, u64)> {
        let model = self.repository.join(self.model());
        let manifest = format!("backend = {:?}\ninstances = {workers}\n", self.backend);
        fs::write(model.join("model.toml"), manifest)?;
        let mut start = self.setting.start(Placement::Free, &self.repository);
        start.openvino = self.openvino;
        start.state = Some(&self.state);
        start.limits = limits;
        let daemon = Daemon::start(&start)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let socket = daemon.socket();
        let name = self.model();
        let ready = ready(&socket, &name, workers);
        let (load_us, pids) =
            runtime.block_on(async { tokio::time::timeout(WAIT_MAX, ready).await })??;
        let memory = pids.iter().map(|&pid| procs::memory(pid).proportional);
        let memory = memory.sum();
        let begun = Instant::now();
        while prepares && prepared_bytes(&self.state).is_none() {
            if begun.elapsed() > WAIT_MAX {
                bail!("nothing was prepared of {}", self.model());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok((load_us, memory))
    }
}

/// When so many workers serve: how long the first took, and which they are.
async fn ready(socket: &Path, name: &str, workers: usize) -> Result<(u64, Vec<u32>)> {
    let client = Client::new(socket.to_owned(), Tenant::default());
    client.resolve(name).await?;
    let mut models = ModelsClient::new(nn_client::channel(socket).await?);
    loop {
        let list = models.list(v1::ListRequest {}).await?.into_inner();
        let model = list.models.first().context("a model")?;
        let serves = model.instances.iter().filter(|instance| !instance.spare);
        let pids: Vec<u32> = serves.map(|instance| instance.pid).collect();
        if pids.len() == workers && pids.iter().all(|&pid| pid != 0) {
            return Ok((model.load_us, pids));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How large what was prepared is, once it is there whole.
fn prepared_bytes(state: &Path) -> Option<u64> {
    let mut files = fs::read_dir(state.join("prepared")).ok()?.flatten();
    let is_whole = |name: &std::ffi::OsStr| !name.to_string_lossy().starts_with('.');
    let found = files.find(|file| is_whole(&file.file_name()))?;
    Some(found.metadata().ok()?.len())
}

fn print(rows: &[Row]) {
    let mut text = String::new();
    line(
        &mut text,
        "### A model's first start and its second, from what was prepared\n",
    );
    line(
        &mut text,
        "| | rounds | first, median ms | second, median ms | second / first | prepared, MiB | 1 worker, MiB | prepared | 4 workers, MiB | prepared |",
    );
    line(&mut text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for row in rows {
        let (first, second) = (median(&row.first_us), median(&row.second_us));
        let [[one, many], [one_prepared, many_prepared]] = row.memory;
        let mib = |kib: u64| number(to_f64(kib) / KIB_PER_MIB);
        let cells = [
            row.first_us.len().to_string(),
            number(first / 1000.0),
            number(second / 1000.0),
            number(second / first),
            mib(row.prepared_bytes / 1024),
            mib(one),
            mib(one_prepared),
            mib(many),
            mib(many_prepared),
        ];
        line(
            &mut text,
            &format!("| {} | {} |", row.name, cells.join(" | ")),
        );
    }
    let _closed_pipe = std::io::stdout().write_all(text.as_bytes());
}

fn median(values: &[u64]) -> f64 {
    to_f64(crate::stats::percentile(values, 50))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn to_f64(value: u64) -> f64 {
    value as f64
}
