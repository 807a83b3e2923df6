//! The corpora of the fuzz targets, tests/fuzz/corpus: the seeds are what today's code writes, and every input is taken
//! as its target takes it. Inputs that once broke a target stay there. What reaches into a crate is replayed in it:
//! nn-daemon/src/fuzzing.rs, host-shim/client/src/session/fuzzing.rs.

#[path = "fuzz/src/answers.rs"]
pub mod answers;
#[path = "fuzz/src/ir_vet.rs"]
pub mod ir_vet;
#[path = "fuzz/src/onnx.rs"]
pub mod onnx;
#[path = "fuzz/src/onnx_vet.rs"]
pub mod onnx_vet;
#[path = "fuzz/src/proto.rs"]
pub mod proto;
#[path = "fuzz/src/witx.rs"]
pub mod witx;
#[path = "fuzz/src/worker_wire.rs"]
pub mod worker_wire;

#[path = "corpora/engines.rs"]
mod engines;
#[path = "corpora/frames.rs"]
mod frames;
#[path = "corpora/functions.rs"]
mod functions;
#[path = "corpora/guests.rs"]
mod guests;
#[path = "corpora/messages.rs"]
mod messages;

use std::fs;
use std::path::{Path, PathBuf};

/// An input that a target starts from: the target, a name, the bytes.
type Seed = (&'static str, &'static str, Vec<u8>);

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

/// Takes every input of a corpus, in the order of their names.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = fs::read_dir(corpus(target)).expect("a corpus in the checkout");
    let mut files: Vec<PathBuf> = folder.map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let bytes = fs::read(&file).expect("a file that can be read");
        let taken = std::panic::catch_unwind(|| run(&bytes));
        assert!(taken.is_ok(), "{} broke it", file.display());
    }
}

/// The seed's file, written anew, unless it is as it should be.
fn stale((target, name, bytes): &Seed) -> Option<PathBuf> {
    let file = corpus(target).join(name);
    if fs::read(&file).is_ok_and(|found| found == *bytes) {
        return None;
    }
    fs::create_dir_all(corpus(target)).expect("a folder");
    fs::write(&file, bytes).expect("a checkout that can be written");
    Some(file)
}

#[test]
fn the_seeds_are_what_the_code_writes() {
    let seeds = [
        engines::seeds(),
        frames::seeds(),
        messages::seeds(),
        guests::seeds(),
        functions::seeds(),
    ]
    .concat();
    let stale: Vec<PathBuf> = seeds.iter().filter_map(stale).collect();
    assert!(stale.is_empty(), "written anew, run this again: {stale:#?}");
}

#[test]
fn the_corpus_of_answers_is_read_alike_by_two() {
    replay("answers", answers::run);
}

#[test]
fn the_corpus_of_worker_wire_is_taken_without_a_panic() {
    replay("worker_wire", worker_wire::run);
}

#[test]
fn the_corpus_of_proto_is_taken_without_a_panic() {
    replay("proto", proto::run);
}

#[test]
fn the_corpus_of_witx_is_taken_without_a_panic() {
    replay("witx", witx::run);
}

#[test]
fn the_corpus_of_onnx_vet_is_judged_without_a_panic() {
    replay("onnx_vet", onnx_vet::run);
}

#[test]
fn the_corpus_of_ir_vet_is_judged_without_a_panic() {
    replay("ir_vet", ir_vet::run);
}

#[test]
fn the_second_reading_of_models_replaces_functions() {
    let seed = |name: &str| fs::read(corpus("onnx_vet").join(name)).expect("a seed");
    let inlined = ["called", "overloads", "given", "given-circle", "confused"]
        .map(|name| onnx::inlined(&seed(name), 64));
    assert_eq!(inlined, [Some(5), Some(5), Some(11), None, None]);
}

#[test]
fn the_second_reading_of_models_finds_external_data_where_there_is_some() {
    let seed = |name: &str| fs::read(corpus("onnx_vet").join(name)).expect("a seed");
    let found = ["inside", "nested", "elsewhere", "nested-elsewhere"]
        .map(|name| onnx::read(&seed(name)).map(|found| found.elsewhere));
    assert_eq!(found, [Some(false), Some(false), Some(true), Some(true)]);
}
