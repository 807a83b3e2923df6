//! The suite's part about ranks, shapes and numbers of tensors.

use std::path::Path;

use nn_shm::Place;
use nn_tensor::{Code, DType, Shape};

use super::{Output, f32s, file, input, load, one, run, shape};
use crate::{Backend, Model, OutputSink, Precision, SinkError};

/// As many dimensions as a tensor can have.
const MOST: [u32; 8] = [1, 2, 1, 2, 1, 2, 1, 2];

pub(super) fn eight_dimensions_are_served_and_nine_are_refused(
    backend: &mut dyn Backend,
    models: &Path,
) {
    let mut model = load(backend, models, "rank8-f32.onnx");
    let bytes = f32s(&[0.5; 16]);
    let got = one(
        model.as_mut(),
        &[input("input", DType::Fp32, &MOST, &bytes)],
    );
    assert_eq!(got, (DType::Fp32, shape(&MOST), bytes));
    for name in ["rank9-f32.onnx", "identity-bool.onnx"] {
        let bytes = file(models, name);
        let parts = [("model.onnx", bytes.as_slice())];
        let model = Model {
            format: "onnx",
            parts: &parts,
            precision: Precision::default(),
        };
        let error = backend.load(&model).err().expect("what no tensor can be");
        let fault = error.split().0;
        assert_eq!(fault.code, Code::UnsupportedOperation, "{name}: {fault}");
    }
}

pub(super) fn many_inputs_and_outputs_keep_their_order(backend: &mut dyn Backend, models: &Path) {
    let mut joins = load(backend, models, "concat-16.onnx");
    let names: Vec<String> = (0..16).map(|index| format!("x{index}")).collect();
    // Of different lengths, and some of none.
    let rows: Vec<Vec<f32>> = (0..16_u8)
        .map(|index| vec![f32::from(index); usize::from(index % 3)])
        .collect();
    let bytes: Vec<Vec<u8>> = rows.iter().map(|row| f32s(row)).collect();
    let inputs: Vec<_> = names
        .iter()
        .zip(&bytes)
        .map(|(name, bytes)| {
            let len = u32::try_from(bytes.len() / 4).unwrap_or(0);
            input(name, DType::Fp32, &[len], bytes)
        })
        .collect();
    let all = rows.concat();
    let len = u32::try_from(all.len()).unwrap_or(0);
    let joined = (DType::Fp32, shape(&[len]), f32s(&all));
    assert_eq!(one(joins.as_mut(), &inputs), joined);

    let mut splits = load(backend, models, "split-16.onnx");
    let numbers: Vec<f32> = (0..32_u8).map(f32::from).collect();
    let bytes = f32s(&numbers);
    let got = run(
        splits.as_mut(),
        &[input("input", DType::Fp32, &[16, 2], &bytes)],
    );
    let row = |pair: &[f32]| (DType::Fp32, shape(&[1, 2]), f32s(pair));
    let (pairs, _) = numbers.as_chunks::<2>();
    let rows: Vec<Output> = pairs.iter().map(|pair| row(pair)).collect();
    assert_eq!(got, Ok(rows));
}

pub(super) fn types_are_mixed_in_one_call(backend: &mut dyn Backend, models: &Path) {
    let mut model = load(backend, models, "mixed-types.onnx");
    let specs = model.signature().inputs.clone();
    let bytes: Vec<Vec<u8>> = specs
        .iter()
        .map(|spec| (0..2 * spec.dtype.size()).map(|_| 0).collect())
        .collect();
    let inputs: Vec<_> = specs
        .iter()
        .zip(&bytes)
        .map(|(spec, bytes)| input(spec.name.as_str(), spec.dtype, &[2], bytes))
        .collect();
    let got = run(model.as_mut(), &inputs).expect("a run that must succeed");
    let back: Vec<DType> = got.iter().map(|(dtype, _, _)| *dtype).collect();
    let there: Vec<DType> = specs.iter().rev().map(|spec| spec.dtype).collect();
    assert_eq!(back, there);
    assert!(
        got.iter()
            .all(|(_, of, bytes)| *of == shape(&[2]) && bytes.iter().all(|&b| b == 0))
    );
}

/// A name may look like an index, or hold anything; and a model may take nothing at all.
pub(super) fn names_are_only_names_and_inputs_may_be_none(
    backend: &mut dyn Backend,
    models: &Path,
) {
    let mut model = load(backend, models, "odd-names.onnx");
    let output = &model.signature().outputs[0].name;
    assert_eq!(output.as_str(), "the difference: ä/0");
    let (first, second) = (f32s(&[5.0]), f32s(&[3.0]));
    let inputs = [
        input("1", DType::Fp32, &[1], &first),
        input("0", DType::Fp32, &[1], &second),
    ];
    assert_eq!(one(model.as_mut(), &inputs).2, f32s(&[2.0]));
    let mut model = load(backend, models, "constant-f32.onnx");
    assert!(model.signature().inputs.is_empty());
    assert_eq!(
        one(model.as_mut(), &[]),
        (DType::Fp32, shape(&[2]), f32s(&[1.0, 2.0]))
    );
}

/// The same model with one shape after another: nothing of the one before is left.
pub(super) fn shapes_change_from_run_to_run(backend: &mut dyn Backend, models: &Path) {
    let mut model = load(backend, models, "max-rows.onnx");
    for (rows, columns) in [(2_u32, 3_u32), (5, 1), (1, 64), (2, 3)] {
        let count = u16::try_from(rows * columns).unwrap_or(0);
        let numbers: Vec<f32> = (0..count).map(f32::from).collect();
        let bytes = f32s(&numbers);
        let dims = [rows, columns];
        let got = one(
            model.as_mut(),
            &[input("input", DType::Fp32, &dims, &bytes)],
        );
        let last = usize::try_from(columns * (rows - 1)).unwrap_or(0);
        let most = (DType::Fp32, shape(&[columns]), f32s(&numbers[last..]));
        assert_eq!(got, most, "{rows} × {columns}");
    }
}

/// Neither where its shape is known before the run nor where it is after: and the next run has its outputs.
pub(super) fn an_output_without_room_ends_the_run_and_the_model_lives_on(
    backend: &mut dyn Backend,
    models: &Path,
) {
    struct NoRoom;
    impl OutputSink for NoRoom {
        fn reserve(&mut self, _: usize, _: DType, _: Shape) -> Result<Place, SinkError> {
            Err(SinkError::Full { bytes: 4 })
        }
    }
    let bytes = f32s(&[1.0, 0.0]);
    let known = ("constant-f32.onnx", Vec::new());
    let open = (
        "split-dynamic.onnx",
        vec![input("input", DType::Fp32, &[2], &bytes)],
    );
    for (name, inputs) in [known, open] {
        let mut model = load(backend, models, name);
        let error = model.run(&inputs, &mut NoRoom).expect_err("no room");
        assert_eq!(error.split().0.code, Code::Busy, "{name}");
        assert!(run(model.as_mut(), &inputs).is_ok(), "{name}");
    }
}
