//! `inproc`: runs a guest with wasmtime-wasi-nn's ONNX backend in its own process, or serves one over HTTP, which is what this
//! project is compared with. Whatever the guest or the model does to its host, it does to this process.
//!
//! How a run ended goes to stderr: `ended: exit N`, `ended: trap …` or `ended: panic …`. A framework that crashes takes the
//! process with it, and the shell says by which signal. The exit code is the guest's; 134 after a panic, 124 after a trap.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use ort::environment::GlobalThreadPoolOptions;
use wasmtime::error::Context as _;
use wasmtime::{Result, format_err};
use wasmtime_wasi_nn::backend::BackendInner as _;
use wasmtime_wasi_nn::backend::onnx::OnnxBackend;
use wasmtime_wasi_nn::wit::{ExecutionTarget, WasiNnView};
use wasmtime_wasi_nn::{Backend, Graph, GraphRegistry, Registry};
use wasmtime_wasi_nn::{wit, witx};

#[path = "../../../host-shim/nn-host/src/clock.rs"]
mod clock;
#[path = "../../../host-shim/nn-host/src/engine.rs"]
mod engine;
#[path = "../../src/host.rs"]
mod host;
mod serve;

use host::{Ended, Guest};

const TRAPPED: u8 = 124;
const PANICKED: u8 = 134;

/// Runs guests with wasmtime-wasi-nn, in process.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a guest, component or core module, to its end.
    Run(RunArgs),
    /// Serves a component that answers HTTP, on a port of this machine, until it is killed.
    Serve(serve::ServeArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// libonnxruntime.so.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    runtime: PathBuf,
    /// A model that the guest can have by name; may be given again.
    #[arg(long = "model", value_name = "NAME=FILE", value_parser = named)]
    models: Vec<(String, PathBuf)>,
    /// Framework threads of all sessions together, which do not spin; 0: as wasmtime-wasi-nn leaves it.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// A directory for the guest; may be given again.
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    dirs: Vec<String>,
    /// The guest, and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    guest: Vec<String>,
}

/// Models by name.
struct Models(HashMap<String, Graph>);

impl GraphRegistry for Models {
    fn get(&self, name: &str) -> Option<&Graph> {
        self.0.get(name)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Graph> {
        self.0.get_mut(name)
    }
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text
        .split_once('=')
        .ok_or_else(|| format!("{text} is not NAME=FILE"))?;
    Ok((name.to_owned(), file.into()))
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    match command {
        Command::Run(args) => attend(&args),
        Command::Serve(args) => match serve::serve(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("ended: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn attend(args: &RunArgs) -> ExitCode {
    // A guest can make the host panic; that is a result, too.
    let ran = catch_unwind(AssertUnwindSafe(|| run(args)));
    let (said, code) = match ran {
        Ok(Ok(Ended::Exit(code))) => (format!("exit {code}"), code.to_le_bytes()[0]),
        Ok(Ok(Ended::Trap(why))) => (format!("trap {why}"), TRAPPED),
        Ok(Err(error)) => (format!("not started: {error:#}"), 1),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            (
                format!("panic {}", text.unwrap_or("without words")),
                PANICKED,
            )
        }
    };
    eprintln!("ended: {said}");
    ExitCode::from(code)
}

fn run(args: &RunArgs) -> Result<Ended> {
    let (file, rest) = args.guest.split_first().context("no guest")?;
    let guest = Guest::read(Path::new(file), rest, &args.dirs)?;
    open(&args.runtime, args.threads)?;
    let registry = || registry(&args.models);
    let backends = || [Backend::from(OnnxBackend::default())];
    host::block_on(async {
        if guest.is_core() {
            let nn = witx::WasiNnCtx::new(backends(), registry()?);
            guest
                .run_core(nn, |linker| {
                    witx::add_to_linker(linker, |state| &mut state.nn)
                })
                .await
        } else {
            let nn = wit::WasiNnCtx::new(backends(), registry()?);
            guest
                .run_component(nn, |linker| {
                    wit::add_to_linker(linker, |state: &mut host::ComponentState<_>| {
                        WasiNnView::new(&mut state.table, &mut state.nn)
                    })
                })
                .await
        }
    })
}

/// The backend makes its sessions itself; the pool of the process is the one setting that reaches them.
fn open(runtime: &Path, threads: usize) -> Result<()> {
    let mut environment = ort::init_from(runtime.display().to_string()).with_telemetry(false);
    if threads > 0 {
        let pool = GlobalThreadPoolOptions::default()
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            .with_spin_control(false)?;
        environment = environment.with_global_thread_pool(pool);
    }
    environment.commit()?;
    Ok(())
}

fn registry(models: &[(String, PathBuf)]) -> Result<Registry> {
    Ok(Registry::from(Models(graphs(models)?)))
}

/// Models by name, loaded.
fn graphs(models: &[(String, PathBuf)]) -> Result<HashMap<String, Graph>> {
    let mut backend = OnnxBackend::default();
    let mut graphs = HashMap::new();
    for (name, file) in models {
        let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
        let graph = backend
            .load(&[&bytes], ExecutionTarget::Cpu)
            .map_err(|error| format_err!("{name} does not load: {error}"))?;
        graphs.insert(name.clone(), graph);
    }
    Ok(graphs)
}
