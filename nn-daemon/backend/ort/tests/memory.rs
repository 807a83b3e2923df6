//! A model that asks for more memory than there is, under a real limit. One test, because there is one
//! environment a process, and the limit is the process's too.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test, which clippy takes for production code"
)]

mod support {
    pub(crate) mod onnx;
}

use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nn_backend::conformance::library;
use nn_backend::{
    Backend, BackendError, Bytes, Input, LoadedModel, Model, Precision, Ran, Scratch, Setup,
};
use nn_backend_ort::OrtBackend;
use nn_onnx_writer::FLOAT;
use nn_tensor::{Code, DType, Shape};

use crate::support::onnx;

const MIB: u64 = 1 << 20;

/// The room above what is used already.
const ROOM_BYTES: u64 = 48 * MIB;

/// f32s of 4 MiB together.
const FEW: i64 = 1 << 20;

/// f32s of 64 MiB together.
const TOO_MANY: u32 = 16 << 20;

#[test]
fn a_model_out_of_memory_fails_typed_and_smaller_ones_run_on() {
    let Some(library) = library("onnxruntime/libonnxruntime.so.1.28.0") else {
        return;
    };
    let setup = Setup {
        library: &library,
        threads: 2,
        log: |line| println!("{line}"),
    };
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/tiny");
    let zeros = fs::read(models.join("zeros-f32.onnx")).unwrap();
    let heavy = onnx::model("Add", FLOAT, None, Some(TOO_MANY));
    let mut backend = OrtBackend::new();
    backend.open(&setup).unwrap();
    let used_bytes = data_bytes();
    limit_data(used_bytes + ROOM_BYTES);

    let error = load(&mut backend, &heavy).err().unwrap();
    assert!(matches!(error, BackendError::Memory(_)), "{error:?}");

    let mut model = load(&mut backend, &zeros).unwrap();
    run(model.as_mut(), FEW).unwrap();
    for count in [i64::from(TOO_MANY), 1 << 40] {
        let error = run(model.as_mut(), count).unwrap_err();
        assert!(matches!(error, BackendError::Memory(_)), "{error:?}");
        assert_eq!(error.split().0.code, Code::TooLarge);
        run(model.as_mut(), FEW).unwrap();
        // Neither the failure nor what came after it has kept the room for itself.
        let kept_bytes = data_bytes().saturating_sub(used_bytes);
        assert!(kept_bytes < ROOM_BYTES / 4, "{kept_bytes} bytes");
    }
    run(model.as_mut(), 4 << 20).unwrap();
    run(model.as_mut(), 6 << 20).unwrap();
    run(model.as_mut(), 8 << 20).unwrap();
}

/// What counts towards the limit now.
fn data_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmData:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

fn limit_data(bytes: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_DATA).unwrap();
    setrlimit(Resource::RLIMIT_DATA, bytes, hard).unwrap();
}

fn load(backend: &mut OrtBackend, bytes: &[u8]) -> Result<Box<dyn LoadedModel>, BackendError> {
    let parts = [("model.onnx", bytes)];
    backend.load(&Model {
        format: "onnx",
        parts: &parts,
        precision: Precision::default(),
    })
}

/// Asks zeros-f32 for `count` zeros, which it makes and then copies to memory that is shared.
fn run(model: &mut dyn LoadedModel, count: i64) -> Result<Ran, BackendError> {
    let mut bytes = [0_u8; 16];
    let start = bytes.as_ptr().align_offset(8);
    bytes[start..start + 8].copy_from_slice(&count.to_le_bytes());
    let input = Input {
        name: "shape",
        dtype: DType::I64,
        shape: Shape::new(&[1]).unwrap(),
        bytes: Bytes::Private(&bytes[start..start + 8]),
    };
    model.run(&[input], &mut Scratch::default())
}
