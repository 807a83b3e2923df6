//! ONNX Runtime through the suite that every backend passes, and what is true of it alone. One test,
//! because there is one environment a process.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test, which clippy takes for production code"
)]

mod support {
    pub(crate) mod onnx;
}

use std::path::Path;
use std::sync::Arc;

use nn_backend::conformance::{self, Abilities, library};
use nn_backend::{Backend, Bytes, Input, Model, Precision, Ran, Scratch, Setup};
use nn_backend_ort::OrtBackend;
use nn_onnx_writer::{FLOAT, STRING};
use nn_shm::Segment;
use nn_tensor::{Code, DType, Dim, Shape};

use crate::support::onnx;

/// One picture of 3 × 224 × 224, as f32.
const PICTURE: [u32; 4] = [1, 3, 224, 224];
const PICTURE_BYTES: u64 = 588 * 1024;

/// An element type that wasi-nn has no name for, as `STRING` is, by ONNX's number.
const INT8: u64 = 3;
const BOOL: u64 = 9;

#[test]
fn onnx_runtime_conforms() {
    let Some(library) = library("onnxruntime/libonnxruntime.so.1.28.0") else {
        return;
    };
    let setup = Setup {
        library: &library,
        threads: 2,
        log: |line| println!("{line}"),
    };
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/tiny");
    let mut backend = OrtBackend::new();
    let can = Abilities {
        stops_loops: true,
        wide_integers: true,
        open_ranks: true,
    };
    conformance::suite(&mut backend, &setup, &models, can);
    a_fixed_shape_is_written_where_it_is_to_go(&mut backend);
    an_input_passed_through_is_copied_out(&mut backend);
    an_open_rank_and_a_scalar_are_told_apart(&mut backend);
    types_that_wasi_nn_has_not_are_refused(&mut backend);
}

fn a_fixed_shape_is_written_where_it_is_to_go(backend: &mut OrtBackend) {
    let mut model = load(backend, &unary("Neg", FLOAT, Some(&PICTURE)));
    let memory = Segment::create(PICTURE_BYTES).unwrap();
    let slot = Arc::new(memory.map_writer().unwrap())
        .place(0, PICTURE_BYTES)
        .unwrap();
    let ones = 1_f32.to_le_bytes().repeat(3 * 224 * 224);
    slot.slice().copy_from(&ones).unwrap();
    let mut sink = Scratch::default();
    let ran = model
        .run(&[input(&PICTURE, Bytes::Shared(&slot))], &mut sink)
        .unwrap();
    // Nothing was copied, and what the framework computed is there: it wrote there itself.
    assert_eq!(ran, Ran::default());
    let minus_ones = (-1_f32).to_le_bytes().repeat(3 * 224 * 224);
    assert_eq!(sink.place(0).unwrap().slice().to_vec().unwrap(), minus_ones);
}

fn an_input_passed_through_is_copied_out(backend: &mut OrtBackend) {
    let mut model = load(backend, &unary("Identity", FLOAT, None));
    let memory = Segment::create(4096).unwrap();
    let slot = Arc::new(memory.map_writer().unwrap()).place(0, 8).unwrap();
    slot.slice().copy_from(b"abcdefgh").unwrap();
    let mut sink = Scratch::default();
    let ran = model
        .run(&[input(&[2], Bytes::Shared(&slot))], &mut sink)
        .unwrap();
    assert_eq!(ran.out_copied_bytes, 8);
    assert_eq!(sink.output(0).unwrap().2, b"abcdefgh");
    assert_ne!(sink.place(0).unwrap().as_ptr(), slot.as_ptr());
}

fn an_open_rank_and_a_scalar_are_told_apart(backend: &mut OrtBackend) {
    let open = load(backend, &unary("Neg", FLOAT, None));
    assert_eq!(open.signature().inputs[0].dims, None);
    let scalar = load(backend, &unary("Neg", FLOAT, Some(&[])));
    assert_eq!(scalar.signature().inputs[0].dims, Some(Vec::new()));
    let fixed = load(backend, &unary("Neg", FLOAT, Some(&[7])));
    assert_eq!(fixed.signature().outputs[0].dims, Some(vec![Dim::Fixed(7)]));
}

fn types_that_wasi_nn_has_not_are_refused(backend: &mut OrtBackend) {
    for element in [INT8, BOOL, STRING] {
        let bytes = unary("Identity", element, Some(&[1]));
        let parts = [("model.onnx", bytes.as_slice())];
        let model = Model {
            format: "onnx",
            parts: &parts,
            precision: Precision::default(),
        };
        let (fault, _) = backend.load(&model).err().unwrap().split();
        assert_eq!(fault.code, Code::UnsupportedOperation);
        assert_eq!(fault.message, "input x of the model cannot be offered");
        assert_eq!(
            fault.expected,
            "one of fp16, fp32, fp64, bf16, u8, i32, i64"
        );
    }
}

/// y = operator(x).
fn unary(operator: &str, element: u64, dims: Option<&[u32]>) -> Vec<u8> {
    onnx::model(operator, element, dims, None)
}

fn load(backend: &mut OrtBackend, bytes: &[u8]) -> Box<dyn nn_backend::LoadedModel> {
    let parts = [("model.onnx", bytes)];
    let model = Model {
        format: "onnx",
        parts: &parts,
        precision: Precision::default(),
    };
    backend.load(&model).unwrap()
}

fn input<'a>(dims: &[u32], bytes: Bytes<'a>) -> Input<'a> {
    Input {
        name: "x",
        dtype: DType::Fp32,
        shape: Shape::new(dims).unwrap(),
        bytes,
    }
}
