//! The way without isolation and without a guest: ONNX Runtime in a plain program, as well as one can do it. Input and output
//! are bound once; the session has the settings of the worker.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use bench_loop::{Abi, BenchError, Input, refused};
use clap::Args;
use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::ep;
use ort::memory::Allocator;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

/// ONNX Runtime in a plain program.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// libonnxruntime.so.
    #[arg(long, value_name = "FILE")]
    runtime: PathBuf,
    /// The models: NAME/1/model.onnx.
    #[arg(long, value_name = "DIR")]
    models: PathBuf,
    /// Copies the input to the bound memory and the output from it, as a host of guests must.
    #[arg(long)]
    copy: bool,
}

struct Plain {
    environment: Environment,
    models: PathBuf,
    copy: bool,
    open: Option<Open>,
}

/// A model with its tensors bound.
struct Open {
    session: Session,
    binding: IoBinding,
    input: Tensor<f32>,
    source: Vec<f32>,
    output: Vec<f32>,
    /// Whether the output has been copied out at all: once is enough to see that it is right.
    checked: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    // The library first: the options are made by it.
    let environment = ort::init_from(&options.runtime)?;
    let threads = GlobalThreadPoolOptions::default()
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_spin_control(false)?;
    let environment = environment
        .with_telemetry(false)
        .with_global_thread_pool(threads)
        .build()?;
    let mut plain = Plain {
        environment,
        models: options.models.clone(),
        copy: options.copy,
        open: None,
    };
    bench_loop::serve(&mut plain)?;
    Ok(ExitCode::SUCCESS)
}

// === impl Plain ===

impl Plain {
    /// As the worker makes its sessions.
    fn session(&self, bytes: &[u8]) -> ort::Result<Session> {
        Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_execution_providers([ep::CPU::default().with_arena_allocator(true).build()])?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .commit_from_memory(bytes)
    }

    fn open(&self, bytes: &[u8], input: &Input) -> ort::Result<Open> {
        let session = self.session(bytes)?;
        let source = elements(&input.bytes);
        let shape: Vec<i64> = input.dims.iter().map(|&dim| i64::from(dim)).collect();
        let bound = Tensor::from_array((shape, source.clone()))?;
        let outlet = session.outputs().first();
        let shape = outlet.and_then(|outlet| outlet.dtype().tensor_shape());
        // A dynamic dimension is that of a batch of one.
        let out_shape: Vec<i64> = shape.map_or_else(Vec::new, |shape| {
            shape.iter().map(|&dim| dim.max(1)).collect()
        });
        let output = Tensor::<f32>::new(&Allocator::default(), out_shape)?;
        let mut binding = session.create_binding()?;
        binding.bind_input(input.name.as_str(), &bound)?;
        let name = session
            .outputs()
            .first()
            .map(|outlet| outlet.name().to_owned());
        binding.bind_output(name.unwrap_or_default(), output)?;
        Ok(Open {
            session,
            binding,
            input: bound,
            source,
            output: vec![0.0; input.out_bytes / size_of::<f32>()],
            checked: false,
        })
    }
}

impl Abi for Plain {
    fn open_named(&mut self, name: &str, input: &Input) -> Result<(), BenchError> {
        let bytes = std::fs::read(self.models.join(name).join("1/model.onnx"))?;
        self.open = Some(self.open(&bytes, input).map_err(refused)?);
        Ok(())
    }

    fn open_bytes(&mut self, model: Vec<u8>) -> Result<(), BenchError> {
        self.session(&model).map(drop).map_err(refused)
    }

    fn call(&mut self, _input: &Input) -> Result<(), BenchError> {
        let open = self.open.as_mut().ok_or(BenchError::Idle)?;
        if self.copy {
            let (_, bound) = open.input.extract_tensor_mut();
            bound.copy_from_slice(&open.source);
        }
        let outputs = open.session.run_binding(&open.binding).map_err(refused)?;
        let (_, values) = outputs[0].try_extract_tensor::<f32>().map_err(refused)?;
        if self.copy || !open.checked {
            open.output.copy_from_slice(values);
            open.checked = true;
        }
        Ok(())
    }

    fn output(&self) -> Cow<'_, [u8]> {
        let values = self.open.as_ref().map_or(&[][..], |open| &open.output);
        Cow::Owned(
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        )
    }
}

fn elements(bytes: &[u8]) -> Vec<f32> {
    let (whole, _rest) = bytes.as_chunks();
    whole
        .iter()
        .map(|&element| f32::from_le_bytes(element))
        .collect()
}
