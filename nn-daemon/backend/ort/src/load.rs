//! The environment, and models into sessions.

use std::path::Path;
use std::sync::Arc;

use nn_backend::{Backend, BackendError, LoadedModel, Model, Precision, Setup, WarmUp};
use nn_tensor::{Dim, RANK_MAX, Signature, TENSORS_MAX, TensorName, TensorSpec};
use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::ep;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{Outlet, ValueType};

use crate::cause;
use crate::dtype;
use crate::ffi::{self, Side};
use crate::run::OrtModel;
use crate::threads;

/// `c = a + b`, each f32 of any length.
const WARM_UP_MODEL: &[u8] = include_bytes!("../../../../models/tiny/add-f32.onnx");

/// ONNX Runtime on the CPU. One a process can be opened.
#[derive(Debug, Default)]
pub struct OrtBackend {
    environment: Option<Environment>,
    warm_up: Option<WarmUp>,
}

#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("the environment was not made yet")]
    NotOpen,
}

// === impl OrtBackend ===

impl OrtBackend {
    /// A backend that is still to be opened.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How every model is run.
    fn builder(&self, level: GraphOptimizationLevel) -> Result<SessionBuilder, BackendError> {
        let environment = self
            .environment
            .as_ref()
            .ok_or_else(|| BackendError::Framework(SetupError::NotOpen.into()))?;
        // No arena: it keeps what it once had, and after a request that it had no room for, the next one,
        // however small, takes all the memory that is left. Without it a run costs the same.
        let builder = || -> ort::Result<SessionBuilder> {
            Ok(Session::builder(environment)?
                .with_optimization_level(level)?
                .with_execution_providers([ep::CPU::default().with_arena_allocator(true).build()])?
                .with_inter_threads(1)?
                .with_intra_op_spinning(false)?
                .with_inter_op_spinning(false)?
                .with_log_level(LogLevel::Warning)?)
        };
        builder().map_err(cause::of_load)
    }

    /// A model of a client's.
    fn session(&self, bytes: &[u8]) -> Result<Session, BackendError> {
        let builder = self.builder(GraphOptimizationLevel::All)?;
        let session = || -> ort::Result<Session> { onnx(builder)?.commit_from_memory(bytes) };
        session().map_err(cause::of_load)
    }

    /// Computes 1 + 1, then 2 + 2, and so on.
    fn warm_up(&mut self) -> Result<(), BackendError> {
        if self.warm_up.is_none() {
            let model = self.load(&Model {
                format: "onnx",
                parts: &[("model.onnx", WARM_UP_MODEL)],
                precision: Precision::default(),
            })?;
            self.warm_up = Some(WarmUp::new(model));
        }
        let warm_up = self.warm_up.as_mut();
        warm_up.map_or(Ok(()), WarmUp::run)
    }
}

impl Backend for OrtBackend {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn open(&mut self, setup: &Setup<'_>) -> Result<String, BackendError> {
        let framework = |error: ort::Error| BackendError::Framework(error.into());
        let count = setup.threads.max(1);
        // The calling thread computes too.
        let threads = threads::start(count - 1).map_err(BackendError::Framework)?;
        let builder = ort::init_from(setup.library)
            .map_err(|error| BackendError::Framework(Box::new(error)))?;
        // One pool for the process, made here: sessions then start no threads of their own.
        let pool = GlobalThreadPoolOptions::default()
            .with_intra_threads(count)
            .and_then(|options| options.with_inter_threads(1))
            .and_then(|options| options.with_spin_control(false))
            .and_then(|options| options.with_thread_manager(threads))
            .map_err(framework)?;
        let log = setup.log;
        let environment = builder
            .with_name("nn-worker")
            .with_telemetry(false)
            .with_global_thread_pool(pool)
            .with_logger(Arc::new(move |level, _, _, place: &str, text: &str| {
                if level >= LogLevel::Warning && !cause::is_told_to_end(text) {
                    log(&format!("onnxruntime {level:?}: {text} ({place})"));
                }
            }))
            .build()
            .map_err(framework)?;
        environment.set_log_level(LogLevel::Warning);
        self.environment = Some(environment);
        self.warm_up()?;
        Ok(runtime(setup.library, ort::info()))
    }

    fn check(&mut self) -> Result<(), BackendError> {
        self.warm_up()
    }

    fn load(&mut self, model: &Model<'_>) -> Result<Box<dyn LoadedModel>, BackendError> {
        if let Some(warm_up) = &mut self.warm_up {
            warm_up.finish();
        }
        loaded(self.session(bytes_of(model)?)?)
    }

    fn prepare(&mut self, model: &Model<'_>, to: &Path) -> Result<(), BackendError> {
        let bytes = bytes_of(model)?;
        let builder = self.builder(GraphOptimizationLevel::All)?;
        let write = || -> ort::Result<Session> {
            onnx(builder)?
                .with_config_entry("session.save_model_format", "ORT")?
                .with_optimized_model_path(to)?
                .commit_from_memory(bytes)
        };
        write().map(drop).map_err(cause::of_load)
    }

    fn load_prepared(
        &mut self,
        prepared: &'static [u8],
        _: Precision,
    ) -> Result<Box<dyn LoadedModel>, BackendError> {
        if let Some(warm_up) = &mut self.warm_up {
            warm_up.finish();
        }
        // What was to be optimised has been.
        let builder = self.builder(GraphOptimizationLevel::Disable)?;
        let session = || -> ort::Result<Session> {
            builder
                .with_config_entry("session.load_model_format", "ORT")?
                // Weights stay where they are, which every worker of the model maps: they live as long as this process.
                .with_config_entry("session.use_ort_model_bytes_directly", "1")?
                .with_config_entry("session.use_ort_model_bytes_for_initializers", "1")?
                .commit_from_memory(prepared)
        };
        loaded(session().map_err(cause::of_load)?)
    }
}

/// ONNX and nothing else: else it looks itself, and takes what has the mark of its own format for that.
fn onnx(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    Ok(builder.with_config_entry("session.load_model_format", "ONNX")?)
}

fn loaded(session: Session) -> Result<Box<dyn LoadedModel>, BackendError> {
    let signature = Signature {
        inputs: specs(&session, Side::Input, session.inputs())?,
        outputs: specs(&session, Side::Output, session.outputs())?,
    };
    Ok(Box::new(OrtModel::new(session, signature)))
}

/// The bytes of a model in the one format that is read.
fn bytes_of<'a>(model: &Model<'a>) -> Result<&'a [u8], BackendError> {
    let [(_, bytes)] = model.parts else {
        return Err(BackendError::Format {
            expected: "one file of format onnx",
            got: format!("{} files", model.parts.len()),
        });
    };
    if model.format != "onnx" {
        return Err(BackendError::Format {
            expected: "onnx",
            got: model.format.chars().take(32).collect(),
        });
    }
    if model.precision != Precision::F32 {
        return Err(BackendError::Format {
            expected: "a model that is computed in its own precision",
            got: format!("{:?}", model.precision),
        });
    }
    Ok(bytes)
}

/// `ONNX Runtime 1.28.0 (0123abcd)`: the version from the library's file name, as `ort` offers no other
/// way to it, and the commit from the build's own, longer words.
fn runtime(library: &Path, info: &str) -> String {
    let name = library.file_name().unwrap_or_default().to_string_lossy();
    let version = name.split_once(".so.").map_or("", |(_, version)| version);
    let commit = info
        .split_once("git-commit-id=")
        .and_then(|(_, after)| after.split([',', ' ']).next())
        .map_or(String::new(), |commit| format!("({commit})"));
    format!("ONNX Runtime {version} {commit}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

// === signatures ===

fn specs(
    session: &Session,
    side: Side,
    outlets: &[Outlet],
) -> Result<Vec<TensorSpec>, BackendError> {
    if outlets.len() > TENSORS_MAX {
        return Err(BackendError::Signature {
            which: format!("the list of {} tensors", side.name()),
            expected: format!("at most {TENSORS_MAX}"),
            got: outlets.len().to_string(),
        });
    }
    let specs = outlets.iter().enumerate().map(|(index, outlet)| {
        let has_rank = ffi::has_rank(session, side, index)
            .map_err(|error| BackendError::Load(error.into()))?;
        spec(side, outlet, has_rank)
    });
    specs.collect()
}

fn spec(side: Side, outlet: &Outlet, has_rank: bool) -> Result<TensorSpec, BackendError> {
    let refuse = |expected: String, got: String| BackendError::Signature {
        which: format!(
            "{} {}",
            side.name(),
            outlet.name().chars().take(64).collect::<String>()
        ),
        expected,
        got,
    };
    let name = TensorName::new(outlet.name())
        .map_err(|fault| refuse(fault.expected, format!("a name of {}", fault.got)))?;
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        let got = match outlet.dtype() {
            ValueType::Sequence(_) => "a sequence",
            ValueType::Map { .. } => "a map",
            ValueType::Tensor { .. } | ValueType::Optional(_) => "an optional value",
        };
        return Err(refuse("a tensor".to_owned(), got.to_owned()));
    };
    let dtype = dtype::from_ort(*ty)
        .ok_or_else(|| refuse(format!("one of {}", dtype::offered()), ty.to_string()))?;
    if shape.len() > RANK_MAX {
        return Err(refuse(
            format!("at most {RANK_MAX} dimensions"),
            shape.len().to_string(),
        ));
    }
    let dims = shape
        .iter()
        .map(|&dim| match (dim < 0, u32::try_from(dim)) {
            (true, _) => Ok(Dim::Any),
            (false, Ok(fixed)) => Ok(Dim::Fixed(fixed)),
            (false, Err(_)) => Err(refuse(
                "dimensions below 4294967296".to_owned(),
                dim.to_string(),
            )),
        })
        .collect::<Result<Vec<Dim>, _>>()?;
    Ok(TensorSpec {
        name,
        dtype,
        dims: has_rank.then_some(dims),
    })
}

// === impl Side ===

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_described_by_version_and_commit() {
        let info = "ORT Build Info: git-branch=HEAD, git-commit-id=0123abcd, build type=Release";
        let library = Path::new("/lib/libonnxruntime.so.1.28.0");
        assert_eq!(runtime(library, info), "ONNX Runtime 1.28.0 (0123abcd)");
        assert_eq!(runtime(Path::new("/lib/x.so"), "?"), "ONNX Runtime");
    }
}
