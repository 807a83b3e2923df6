//! Regenerates `src/gen` from the .proto files and fails when it differed, so that building the project needs no
//! protobuf compiler. Run it twice after changing a .proto file.

use std::fs;
use std::path::Path;

const FILES: [&str; 6] = [
    "nn/v1/types.proto",
    "nn/v1/infer.proto",
    "nn/v1/fd.proto",
    "nn/v1/models.proto",
    "nn/v1/admin.proto",
    "grpc/health/v1/health.proto",
];

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = FILES.map(|name| root.join(name));
    let descriptors = protox::compile(files, [root]).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .out_dir(scratch.path())
        .compile_fds(descriptors)
        .unwrap();

    for file in ["nn.v1.rs", "grpc.health.v1.rs"] {
        let fresh = fs::read_to_string(scratch.path().join(file)).unwrap();
        let checked_in = root.join("src/gen").join(file);
        let stale = fs::read_to_string(&checked_in).unwrap_or_default();
        if fresh != stale {
            fs::write(&checked_in, fresh).unwrap();
            panic!("src/gen/{file} was stale and has been regenerated; look at it and commit it");
        }
    }
}
