//! The framework that is none.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nn_backend::{
    Backend, BackendError, Flag, Input, Interrupt, LoadedModel, Model, OutputSink, Ran, Setup,
    SinkError,
};
use nn_tensor::{DType, Dim, Shape, Signature, TensorName, TensorSpec};

use crate::graph;

/// Computes in a few lines of Rust.
#[derive(Debug)]
pub(crate) struct FakeBackend;

#[derive(Clone, Copy, Debug)]
enum Behaviour {
    Echo,
    Add,
    Sleep,
    /// Sleeps, and says which of its runs this was.
    Count,
    Deaf,
    Crash,
}

/// How often a sleep looks whether it is to end.
const LOOK: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct FakeModel {
    behaviour: Behaviour,
    signature: Signature,
    stop: Arc<Flag>,
    runs: i64,
}

#[derive(Debug, thiserror::Error)]
enum FakeError {
    #[error("no fake model is called {0:?}")]
    Unknown(Option<String>),
    #[error("the inputs have different lengths")]
    Lengths,
    #[error("no number of milliseconds: {0:?}")]
    Number(Vec<u8>),
    #[error("woken up")]
    Woken,
}

// === impl FakeBackend ===

impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn open(&mut self, _: &Setup<'_>) -> Result<String, BackendError> {
        Ok("a fake that has no framework".to_owned())
    }

    fn check(&mut self) -> Result<(), BackendError> {
        Ok(())
    }

    fn load(&mut self, model: &Model<'_>) -> Result<Box<dyn LoadedModel>, BackendError> {
        let name = model
            .parts
            .first()
            .and_then(|(_, bytes)| graph::name(bytes));
        let vector = Some(vec![Dim::Any]);
        let scalar = Some(Vec::new());
        let (behaviour, dtype, dims, inputs, output) = match name {
            Some("fake-echo") => (Behaviour::Echo, DType::Fp32, vector, &["x"][..], "y"),
            Some("fake-add") => (Behaviour::Add, DType::Fp32, vector, &["a", "b"][..], "c"),
            Some("fake-sleep") => (Behaviour::Sleep, DType::I64, scalar, &["ms"][..], "slept"),
            Some("fake-count") => (Behaviour::Count, DType::I64, scalar, &["ms"][..], "run"),
            Some("fake-deaf") => (Behaviour::Deaf, DType::I64, scalar, &["ms"][..], "slept"),
            Some("fake-stuck") => loop {
                thread::park();
            },
            Some("fake-broken") => crash(1),
            Some("fake-crash") => (Behaviour::Crash, DType::I64, scalar, &["how"][..], "never"),
            other => {
                let error = FakeError::Unknown(other.map(str::to_owned));
                return Err(BackendError::Encoding(error.into()));
            }
        };
        let spec = |name: &&str| {
            let name = TensorName::new(name).map_err(|f| BackendError::Load(Box::new(f)))?;
            let dims = dims.clone();
            Ok(TensorSpec { name, dtype, dims })
        };
        let inputs: Result<Vec<TensorSpec>, BackendError> = inputs.iter().map(spec).collect();
        let signature = Signature {
            inputs: inputs?,
            outputs: vec![spec(&output)?],
        };
        Ok(Box::new(FakeModel {
            behaviour,
            signature,
            stop: Arc::default(),
            runs: 0,
        }))
    }
}

// === impl FakeModel ===

impl LoadedModel for FakeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        Arc::clone(&self.stop) as Arc<dyn Interrupt>
    }

    fn run(
        &mut self,
        inputs: &[Input<'_>],
        sink: &mut dyn OutputSink,
    ) -> Result<Ran, BackendError> {
        let bytes: Result<Vec<Vec<u8>>, _> = inputs.iter().map(|i| i.bytes.to_vec()).collect();
        let bytes = bytes.map_err(|error| BackendError::Run(error.into()))?;
        let (Some(input), Some(first)) = (inputs.first(), bytes.first()) else {
            return Err(BackendError::Run(FakeError::Lengths.into()));
        };
        self.runs = self.runs.wrapping_add(1);
        let (shape, result) = match self.behaviour {
            Behaviour::Echo => (input.shape, first.clone()),
            Behaviour::Add => (input.shape, sum(&bytes)?),
            Behaviour::Sleep => {
                sleep(number(first)?, &self.stop)?;
                (Shape::default(), first.clone())
            }
            Behaviour::Count => {
                sleep(number(first)?, &self.stop)?;
                (Shape::default(), self.runs.to_le_bytes().to_vec())
            }
            Behaviour::Deaf => {
                thread::sleep(Duration::from_millis(number(first)?.unsigned_abs()));
                (Shape::default(), first.clone())
            }
            Behaviour::Crash => crash(number(first)?),
        };
        let place = sink.reserve(0, input.dtype, shape)?;
        place
            .slice()
            .copy_from(&result)
            .map_err(SinkError::Memory)?;
        Ok(Ran {
            out_copied_bytes: u64::try_from(result.len()).unwrap_or(u64::MAX),
        })
    }
}

fn sum(inputs: &[Vec<u8>]) -> Result<Vec<u8>, BackendError> {
    let [a, b] = inputs else {
        return Err(BackendError::Run(FakeError::Lengths.into()));
    };
    if a.len() != b.len() {
        return Err(BackendError::Run(FakeError::Lengths.into()));
    }
    let (a, _) = a.as_chunks::<4>();
    let (b, _) = b.as_chunks::<4>();
    let sums = a
        .iter()
        .zip(b)
        .map(|(a, b)| f32::from_le_bytes(*a) + f32::from_le_bytes(*b));
    Ok(sums.flat_map(f32::to_le_bytes).collect())
}

/// Sleeps so many milliseconds, unless it is woken up.
fn sleep(ms: i64, stop: &Flag) -> Result<(), BackendError> {
    let (begun, wanted) = (Instant::now(), Duration::from_millis(ms.unsigned_abs()));
    while begun.elapsed() < wanted {
        if stop.is_set() {
            return Err(BackendError::Interrupted(FakeError::Woken.into()));
        }
        thread::sleep(LOOK.min(wanted.saturating_sub(begun.elapsed())));
    }
    Ok(())
}

fn number(bytes: &[u8]) -> Result<i64, BackendError> {
    let number = bytes.try_into().map(i64::from_le_bytes);
    number.map_err(|_| BackendError::Run(FakeError::Number(bytes.to_vec()).into()))
}

#[expect(clippy::panic, reason = "ending badly is what this is for")]
fn crash(how: i64) -> ! {
    match how {
        0 => std::process::abort(),
        // By a fault of its own and not by a signal that it sends: a jailed worker sends none.
        1 => loop {
            exhaust_stack(1);
        },
        2 => nn_shm::fds::exit_now(3),
        3 => panic!("as asked"),
        5 => forbidden(),
        6 => too_much(),
        7 => flood(),
        _ => loop {
            thread::park();
        },
    }
}

/// What a sealed worker must not even try.
fn forbidden() -> ! {
    let _ = std::fs::File::open("/");
    nn_shm::fds::exit_now(0)
}

/// More than any budget.
fn too_much() -> ! {
    std::hint::black_box(vec![1_u8; 1 << 40]);
    nn_shm::fds::exit_now(0)
}

/// Lines without end, past the worker's own bound on them, with what would drive a terminal.
fn flood() -> ! {
    let line = format!("\x1b[2J\x1b]0;mine\x07{}\n", "flood ".repeat(100));
    loop {
        // A log that takes no more is what is wanted.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// The page below a stack cannot be touched.
fn exhaust_stack(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 512]);
    if frame.contains(&u64::MAX) {
        return depth;
    }
    exhaust_stack(depth.wrapping_add(1)).wrapping_add(frame.iter().sum())
}

#[cfg(test)]
mod tests {
    use nn_backend::{Bytes, Precision, Scratch};

    use super::*;

    #[test]
    fn add_adds() {
        let bytes = include_bytes!("../models/add.onnx");
        let parts = [("model.onnx", bytes.as_slice())];
        let model = Model {
            format: "onnx",
            parts: &parts,
            precision: Precision::default(),
        };
        let mut model = FakeBackend.load(&model).unwrap();
        let (a, b) = (1_f32.to_le_bytes(), 2_f32.to_le_bytes());
        let inputs = [("a", &a), ("b", &b)].map(|(name, bytes)| Input {
            name,
            dtype: DType::Fp32,
            shape: Shape::new(&[1]).unwrap(),
            bytes: Bytes::Private(bytes),
        });
        let mut sink = Scratch::default();
        model.run(&inputs, &mut sink).unwrap();
        assert_eq!(sink.output(0).unwrap().2, 3_f32.to_le_bytes());
    }

    #[test]
    fn another_model_is_refused() {
        let bytes = include_bytes!("../../../models/tiny/add-f32.onnx");
        let parts = [("model.onnx", bytes.as_slice())];
        let model = Model {
            format: "onnx",
            parts: &parts,
            precision: Precision::default(),
        };
        assert!(matches!(
            FakeBackend.load(&model).err(),
            Some(BackendError::Encoding(_))
        ));
    }
}
