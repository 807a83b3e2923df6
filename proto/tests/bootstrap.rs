//! Regenerates `src/gen` from the .proto files and fails when it differed, so that building the project needs no
//! protobuf compiler. Run it twice after changing a .proto file.

use std::fs;
use std::path::Path;

const FILES: [&str; 8] = [
    "nn/v1/types.proto",
    "nn/v1/infer.proto",
    "nn/v1/fd.proto",
    "nn/v1/models.proto",
    "nn/v1/admin.proto",
    "grpc/health/v1/health.proto",
    "kserve/model_config.proto",
    "kserve/inference.proto",
];

/// Fields that hold tensors: taken out of a message without being copied.
const TENSORS: [&str; 2] = [
    ".inference.ModelInferRequest.raw_input_contents",
    ".inference.ModelInferResponse.raw_output_contents",
];

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir().unwrap();
    let (kserve, others): (Vec<&str>, Vec<&str>) =
        FILES.iter().partition(|name| name.starts_with("kserve/"));
    let configure = || {
        tonic_prost_build::configure()
            .build_client(true)
            .build_server(true)
            .out_dir(scratch.path())
    };
    let descriptors = |names: Vec<&str>| {
        let files = names.into_iter().map(|name| root.join(name));
        protox::compile(files, [root]).unwrap()
    };
    configure().compile_fds(descriptors(others)).unwrap();
    let mut with_tensors = configure().codec_path("crate::kserve::Codec");
    for field in TENSORS {
        with_tensors = with_tensors.bytes(field);
    }
    with_tensors.compile_fds(descriptors(kserve)).unwrap();

    for file in ["nn.v1.rs", "grpc.health.v1.rs", "inference.rs"] {
        let fresh = fs::read_to_string(scratch.path().join(file)).unwrap();
        let checked_in = root.join("src/gen").join(file);
        let stale = fs::read_to_string(&checked_in).unwrap_or_default();
        if fresh != stale {
            fs::write(&checked_in, fresh).unwrap();
            panic!("src/gen/{file} was stale and has been regenerated; look at it and commit it");
        }
    }
}
