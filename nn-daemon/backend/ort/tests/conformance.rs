//! ONNX Runtime through the suite that every backend passes, and what is true of it alone. One test,
//! because there is one environment a process.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of a test, which clippy takes for production code"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nn_backend::conformance;
use nn_backend::{Backend, Bytes, Input, Model, OutputSink, Ran, Scratch, Setup, SinkError};
use nn_backend_ort::OrtBackend;
use nn_shm::{Place, Segment};
use nn_tensor::{Code, DType, Dim, Shape};

/// One picture of 3 × 224 × 224, as f32.
const PICTURE: [u32; 4] = [1, 3, 224, 224];
const PICTURE_BYTES: u64 = 588 * 1024;

/// From the test program's own path: `target/debug/deps/…` → `target/nn/runtimes/…`.
fn library() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let library = program
        .ancestors()
        .map(|folder| folder.join("nn/runtimes/onnxruntime/libonnxruntime.so.1.28.0"))
        .find(|path| path.exists());
    let required = std::env::var_os("NN_REQUIRE_BACKENDS").is_some();
    assert!(library.is_some() || !required, "run `cargo xtask setup`");
    if library.is_none() {
        println!("skipped: no ONNX Runtime; `cargo xtask setup` brings it");
    }
    library
}

#[test]
fn onnx_runtime_conforms() {
    let Some(library) = library() else { return };
    let setup = Setup {
        library: &library,
        threads: 2,
        log: |line| println!("{line}"),
    };
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/tiny");
    let mut backend = OrtBackend::new();
    conformance::suite(&mut backend, &setup, &models);
    a_fixed_shape_is_written_where_it_is_to_go(&mut backend);
    an_input_passed_through_is_copied_out(&mut backend);
    an_open_rank_and_a_scalar_are_told_apart(&mut backend);
    types_that_wasi_nn_has_not_are_refused(&mut backend);
    an_output_without_room_ends_the_run(&mut backend, &models);
}

fn a_fixed_shape_is_written_where_it_is_to_go(backend: &mut OrtBackend) {
    let mut model = load(backend, &onnx::unary("Neg", onnx::FLOAT, Some(&PICTURE)));
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
    let mut model = load(backend, &onnx::unary("Identity", onnx::FLOAT, None));
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
    let open = load(backend, &onnx::unary("Neg", onnx::FLOAT, None));
    assert_eq!(open.signature().inputs[0].dims, None);
    let scalar = load(backend, &onnx::unary("Neg", onnx::FLOAT, Some(&[])));
    assert_eq!(scalar.signature().inputs[0].dims, Some(Vec::new()));
    let fixed = load(backend, &onnx::unary("Neg", onnx::FLOAT, Some(&[7])));
    assert_eq!(fixed.signature().outputs[0].dims, Some(vec![Dim::Fixed(7)]));
}

fn types_that_wasi_nn_has_not_are_refused(backend: &mut OrtBackend) {
    for element in [onnx::INT8, onnx::BOOL, onnx::STRING] {
        let bytes = onnx::unary("Identity", element, Some(&[1]));
        let parts = [("model.onnx", bytes.as_slice())];
        let model = Model {
            format: "onnx",
            parts: &parts,
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

fn an_output_without_room_ends_the_run(backend: &mut OrtBackend, models: &Path) {
    struct NoRoom;
    impl OutputSink for NoRoom {
        fn reserve(&mut self, _: usize, _: DType, _: Shape) -> Result<Place, SinkError> {
            Err(SinkError::Full { bytes: 4 })
        }
    }
    let bytes = std::fs::read(models.join("scalar.onnx")).unwrap();
    let mut model = load(backend, &bytes);
    let value = 1_f32.to_le_bytes();
    let mut aligned = [0_u8; 8];
    let start = aligned.as_ptr().align_offset(4);
    aligned[start..start + 4].copy_from_slice(&value);
    let input = Input {
        name: "input",
        ..input(&[], Bytes::Private(&aligned[start..start + 4]))
    };
    let error = model.run(&[input], &mut NoRoom).unwrap_err();
    assert_eq!(error.split().0.code, Code::Busy);
}

fn load(backend: &mut OrtBackend, bytes: &[u8]) -> Box<dyn nn_backend::LoadedModel> {
    let parts = [("model.onnx", bytes)];
    let model = Model {
        format: "onnx",
        parts: &parts,
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

/// Just enough of ONNX's protobuf to write a model of one operator.
mod onnx {
    pub(super) const FLOAT: u64 = 1;
    pub(super) const INT8: u64 = 3;
    pub(super) const STRING: u64 = 8;
    pub(super) const BOOL: u64 = 9;

    fn varint(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value > 0x7f {
            out.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        out.push(value.to_le_bytes()[0]);
        out
    }

    fn integer(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3), varint(value)].concat()
    }

    fn message(field: u64, content: &[u8]) -> Vec<u8> {
        let length = varint(content.len() as u64);
        [&varint(field << 3 | 2), &length, content].concat()
    }

    fn value_info(name: &str, element: u64, dims: Option<&[u32]>) -> Vec<u8> {
        let shape = dims.map(|dims| {
            let dims: Vec<u8> = dims
                .iter()
                .flat_map(|&dim| message(1, &integer(1, u64::from(dim))))
                .collect();
            message(2, &dims)
        });
        let tensor = [integer(1, element), shape.unwrap_or_default()].concat();
        [
            message(1, name.as_bytes()),
            message(2, &message(1, &tensor)),
        ]
        .concat()
    }

    /// y = operator(x).
    pub(super) fn unary(operator: &str, element: u64, dims: Option<&[u32]>) -> Vec<u8> {
        let node = [
            message(1, b"x"),
            message(2, b"y"),
            message(4, operator.as_bytes()),
        ]
        .concat();
        let graph = [
            message(1, &node),
            message(2, b"unary"),
            message(11, &value_info("x", element, dims)),
            message(12, &value_info("y", element, dims)),
        ]
        .concat();
        let opset = [message(1, b""), integer(2, 17)].concat();
        [integer(1, 8), message(7, &graph), message(8, &opset)].concat()
    }
}
