//! What every backend must do alike, tried on the tiny models of `models/tiny`. Only for tests.
//!
//! It panics at the first thing that is wrong, naming it.

mod library;
mod shapes;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nn_tensor::{Code, DType, Dim, Fault, Shape};

use crate::{Backend, BackendError, Bytes, Input, LoadedModel, Model, Precision, Scratch, Setup};

pub use library::library;

/// An output as a test sees it.
type Output = (DType, Shape, Vec<u8>);

/// What not every framework can do.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Whether a run is stopped inside a loop of the model's own. Where it is not, the process has to end for it.
    pub stops_loops: bool,
    /// Whether integers of 64 bits keep all of them. Where they do not, those that would lose any are refused.
    pub wide_integers: bool,
    /// Whether the number of dimensions may be left open.
    pub open_ranks: bool,
}

/// Opens `backend` and takes it through everything. `models` is the folder of the tiny models.
///
/// # Panics
/// When the backend does not conform.
pub fn suite(backend: &mut dyn Backend, setup: &Setup<'_>, models: &Path, can: Abilities) {
    let runtime = backend.open(setup).expect("the framework loads");
    assert!(!runtime.is_empty(), "a runtime has a description");
    let checked = [backend.check(), backend.check()];
    assert!(
        checked.iter().all(Result::is_ok),
        "an open framework works: {checked:?}"
    );
    every_dtype_passes_unchanged(backend, models, can);
    integers_of_64_bits_keep_them_or_are_refused(backend, models, can);
    a_rank_that_is_left_open_is_served_or_refused(backend, models, can);
    a_sum_is_computed(backend, models);
    scalars_have_no_dimensions(backend, models);
    tensors_may_be_empty(backend, models);
    shapes_that_depend_on_data_are_returned(backend, models);
    outputs_come_in_the_models_order(backend, models);
    shapes::eight_dimensions_are_served_and_nine_are_refused(backend, models);
    shapes::many_inputs_and_outputs_keep_their_order(backend, models);
    shapes::types_are_mixed_in_one_call(backend, models);
    shapes::names_are_only_names_and_inputs_may_be_none(backend, models);
    shapes::shapes_change_from_run_to_run(backend, models);
    shapes::an_output_without_room_ends_the_run_and_the_model_lives_on(backend, models);
    a_misfit_between_inputs_is_an_error_and_the_model_lives_on(backend, models);
    if can.stops_loops {
        a_run_without_end_is_stopped_and_the_model_lives_on(backend, models);
    }
    a_model_that_is_interrupted_before_it_runs_does_not_run(backend, models);
    what_is_no_model_is_refused(backend);
}

fn file(models: &Path, name: &str) -> Vec<u8> {
    fs::read(models.join(name)).expect("a tiny model is there")
}

fn load(backend: &mut dyn Backend, models: &Path, name: &str) -> Box<dyn LoadedModel> {
    let bytes = file(models, name);
    let parts = [("model.onnx", bytes.as_slice())];
    backend
        .load(&Model {
            format: "onnx",
            parts: &parts,
            precision: Precision::default(),
        })
        .expect("a tiny model loads")
}

fn shape(dims: &[u32]) -> Shape {
    Shape::new(dims).expect("a small shape")
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn input<'a>(name: &'a str, dtype: DType, dims: &[u32], bytes: &'a [u8]) -> Input<'a> {
    Input {
        name,
        dtype,
        shape: shape(dims),
        bytes: Bytes::Private(bytes),
    }
}

fn run(model: &mut dyn LoadedModel, inputs: &[Input<'_>]) -> Result<Vec<Output>, Box<Fault>> {
    let mut sink = Scratch::default();
    model
        .run(inputs, &mut sink)
        .map_err(|error| Box::new(error.split().0))?;
    let outputs = 0..model.signature().outputs.len();
    Ok(outputs
        .map(|index| sink.output(index).expect("every output has a place"))
        .collect())
}

fn one(model: &mut dyn LoadedModel, inputs: &[Input<'_>]) -> Output {
    run(model, inputs)
        .expect("a run that must succeed")
        .remove(0)
}

fn every_dtype_passes_unchanged(backend: &mut dyn Backend, models: &Path, can: Abilities) {
    let narrow = |dtype: &DType| *dtype != DType::I64 || can.wide_integers;
    for dtype in DType::ALL.into_iter().filter(narrow) {
        let mut model = load(backend, models, &format!("identity-{dtype}.onnx"));
        assert_eq!(model.signature().inputs[0].dtype, dtype);
        assert_eq!(model.signature().inputs[0].dims, Some(vec![Dim::Any]));
        let bytes: Vec<u8> = (0..3 * dtype.size())
            .map(|n| u8::try_from(n).unwrap_or(0))
            .collect();
        let got = one(model.as_mut(), &[input("input", dtype, &[3], &bytes)]);
        assert_eq!(got, (dtype, shape(&[3]), bytes), "identity of {dtype}");
    }
}

fn integers_of_64_bits_keep_them_or_are_refused(
    backend: &mut dyn Backend,
    models: &Path,
    can: Abilities,
) {
    let mut model = load(backend, models, "identity-i64.onnx");
    let small: Vec<u8> = [i64::from(i32::MIN), -1, i64::from(i32::MAX)]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    let got = one(model.as_mut(), &[input("input", DType::I64, &[3], &small)]);
    assert_eq!(got, (DType::I64, shape(&[3]), small));
    let large = (i64::from(i32::MAX) + 1).to_le_bytes();
    let got = run(model.as_mut(), &[input("input", DType::I64, &[1], &large)]);
    match got {
        Ok(got) => {
            let kept = vec![(DType::I64, shape(&[1]), large.to_vec())];
            assert!(can.wide_integers && got == kept, "{got:?}");
        }
        Err(fault) => {
            assert!(!can.wide_integers, "{fault:?}");
            assert_eq!(fault.code, Code::InvalidArgument, "{fault:?}");
        }
    }
}

fn a_rank_that_is_left_open_is_served_or_refused(
    backend: &mut dyn Backend,
    models: &Path,
    can: Abilities,
) {
    if can.open_ranks {
        let mut model = load(backend, models, "any-fp32.onnx");
        assert_eq!(model.signature().inputs[0].dims, None);
        let bytes = f32s(&[1.0, 2.0]);
        let got = run(
            model.as_mut(),
            &[input("input", DType::Fp32, &[1, 2], &bytes)],
        );
        assert!(got.is_ok(), "{got:?}");
        return;
    }
    let bytes = file(models, "any-fp32.onnx");
    let parts = [("model.onnx", bytes.as_slice())];
    let model = Model {
        format: "onnx",
        parts: &parts,
        precision: Precision::default(),
    };
    let error = backend.load(&model).err().expect("a rank that is open");
    let fault = error.split().0;
    assert_eq!(fault.code, Code::UnsupportedOperation, "{fault}");
    assert!(fault.message.contains("input input"), "{fault}");
}

fn a_sum_is_computed(backend: &mut dyn Backend, models: &Path) {
    let mut model = load(backend, models, "add-f32.onnx");
    let (a, b) = (f32s(&[1.0, 2.0]), f32s(&[10.0, 20.0]));
    let inputs = [
        input("a", DType::Fp32, &[2], &a),
        input("b", DType::Fp32, &[2], &b),
    ];
    let sum = (DType::Fp32, shape(&[2]), f32s(&[11.0, 22.0]));
    assert_eq!(one(model.as_mut(), &inputs), sum);
}

fn scalars_have_no_dimensions(backend: &mut dyn Backend, models: &Path) {
    let mut model = load(backend, models, "scalar.onnx");
    assert_eq!(model.signature().inputs[0].dims, Some(Vec::new()));
    let bytes = f32s(&[2.5]);
    let negated = (DType::Fp32, shape(&[]), f32s(&[-2.5]));
    for dims in [&[][..], &[1]] {
        let inputs = [input("input", DType::Fp32, dims, &bytes)];
        assert_eq!(
            one(model.as_mut(), &inputs),
            negated,
            "a scalar as {dims:?}"
        );
    }
}

fn tensors_may_be_empty(backend: &mut dyn Backend, models: &Path) {
    let mut model = load(backend, models, "add-f32.onnx");
    let inputs = [
        input("a", DType::Fp32, &[0], &[]),
        input("b", DType::Fp32, &[0], &[]),
    ];
    let nothing = (DType::Fp32, shape(&[0]), Vec::new());
    assert_eq!(one(model.as_mut(), &inputs), nothing);
}

fn shapes_that_depend_on_data_are_returned(backend: &mut dyn Backend, models: &Path) {
    let mut model = load(backend, models, "split-dynamic.onnx");
    let bytes = f32s(&[0.0, 7.0, 0.0, 8.0]);
    let got = one(model.as_mut(), &[input("input", DType::Fp32, &[4], &bytes)]);
    let indices: Vec<u8> = [1_i64, 3].iter().flat_map(|n| n.to_le_bytes()).collect();
    assert_eq!(got, (DType::I64, shape(&[1, 2]), indices));
}

fn outputs_come_in_the_models_order(backend: &mut dyn Backend, models: &Path) {
    let mut model = load(backend, models, "two-outputs.onnx");
    let names: Vec<&str> = model
        .signature()
        .outputs
        .iter()
        .map(|spec| spec.name.as_str())
        .collect();
    assert_eq!(names, ["negated", "total"]);
    let bytes = f32s(&[1.0, 2.0]);
    let got = run(model.as_mut(), &[input("input", DType::Fp32, &[2], &bytes)]);
    let expected = vec![
        (DType::Fp32, shape(&[2]), f32s(&[-1.0, -2.0])),
        (DType::Fp32, shape(&[]), f32s(&[3.0])),
    ];
    assert_eq!(got, Ok(expected));
}

fn a_misfit_between_inputs_is_an_error_and_the_model_lives_on(
    backend: &mut dyn Backend,
    models: &Path,
) {
    let mut model = load(backend, models, "add-f32.onnx");
    let (two, three) = (f32s(&[1.0, 2.0]), f32s(&[1.0, 2.0, 3.0]));
    let misfits = [
        input("a", DType::Fp32, &[2], &two),
        input("b", DType::Fp32, &[3], &three),
    ];
    let fault = run(model.as_mut(), &misfits).expect_err("sizes that do not agree");
    assert_eq!(fault.code, Code::RuntimeError);
    let fits = [
        input("a", DType::Fp32, &[2], &two),
        input("b", DType::Fp32, &[2], &two),
    ];
    assert_eq!(one(model.as_mut(), &fits).2, f32s(&[2.0, 4.0]));
}

/// How long an endless run goes on before it is stopped; how long it may take to stop, at its best; and on a busy machine.
const A_WHILE: Duration = Duration::from_millis(100);
const A_MOMENT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

fn a_run_without_end_is_stopped_and_the_model_lives_on(backend: &mut dyn Backend, models: &Path) {
    let mut model = load(backend, models, "endless-f32.onnx");
    let mut best = PATIENCE;
    for turn in 0..5 {
        let interrupter = model.interrupter();
        let stops = Arc::clone(&interrupter);
        let begun = Instant::now();
        let stopper = thread::Builder::new().name("stopper".to_owned());
        let stopper = stopper.spawn(move || {
            thread::sleep(A_WHILE);
            stops.interrupt();
            stops.interrupt();
        });
        let error = model
            .run(&[], &mut Scratch::default())
            .expect_err("a run without end");
        let took = begun.elapsed();
        assert!(
            matches!(error, BackendError::Interrupted(_)),
            "turn {turn}: {error:?}"
        );
        assert!(took >= A_WHILE && took < PATIENCE, "stopped after {took:?}");
        best = best.min(took);
        let joined = stopper.expect("a thread").join();
        assert!(joined.is_ok(), "the thread that stops has ended well");
        interrupter.rearm();
    }
    assert!(best <= A_WHILE + A_MOMENT, "{best:?} when it was quickest");
    let mut other = load(backend, models, "scalar.onnx");
    let bytes = f32s(&[2.0]);
    let inputs = [input("input", DType::Fp32, &[], &bytes)];
    assert_eq!(one(other.as_mut(), &inputs).2, f32s(&[-2.0]));
}

fn a_model_that_is_interrupted_before_it_runs_does_not_run(
    backend: &mut dyn Backend,
    models: &Path,
) {
    let mut model = load(backend, models, "scalar.onnx");
    let bytes = f32s(&[2.0]);
    let inputs = [input("input", DType::Fp32, &[], &bytes)];
    model.interrupter().interrupt();
    let fault = run(model.as_mut(), &inputs).expect_err("an interrupted run");
    assert_eq!(fault.code, Code::Timeout);
    model.interrupter().rearm();
    assert_eq!(one(model.as_mut(), &inputs).2, f32s(&[-2.0]));
}

fn what_is_no_model_is_refused(backend: &mut dyn Backend) {
    for bytes in [&b"not a model"[..], &[], &[0xff; 64]] {
        let parts = [("model.onnx", bytes)];
        let model = Model {
            format: "onnx",
            parts: &parts,
            precision: Precision::default(),
        };
        let error = backend.load(&model).err().expect("this is no model");
        assert_eq!(error.split().0.code, Code::InvalidEncoding, "{bytes:?}");
    }
    let parts = [("model.onnx", &b"x"[..])];
    let model = Model {
        format: "savedmodel",
        parts: &parts,
        precision: Precision::default(),
    };
    let error = backend.load(&model).err().expect("a format of others");
    assert_eq!(error.split().0.code, Code::UnsupportedOperation);
}
