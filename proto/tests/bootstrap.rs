//! Regenerates `src/gen` from `nn/v1/*.proto` and fails when it differed, so that building the
//! project needs no protobuf compiler. Run it twice after changing a .proto file.

use std::fs;
use std::path::Path;

const FILES: [&str; 5] = ["types", "infer", "fd", "models", "admin"];

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = FILES.map(|name| root.join(format!("nn/v1/{name}.proto")));
    let descriptors = protox::compile(files, [root]).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .out_dir(scratch.path())
        .compile_fds(descriptors)
        .unwrap();

    let fresh = fs::read_to_string(scratch.path().join("nn.v1.rs")).unwrap();
    let checked_in = root.join("src/gen/nn.v1.rs");
    let stale = fs::read_to_string(&checked_in).unwrap_or_default();
    if fresh != stale {
        fs::write(&checked_in, fresh).unwrap();
        panic!("src/gen/nn.v1.rs was stale and has been regenerated; look at it and commit it");
    }
}
