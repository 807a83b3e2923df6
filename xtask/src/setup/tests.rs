//! What is in place stays, what is half-made is replaced.

use super::*;
use crate::manifest::Digest;

const RIGHT: &[u8] = b"labels";

struct Place {
    folder: Scratch,
    digest: Digest,
    bytes: u64,
}

fn place_with(content: &[u8]) -> Place {
    let folder = Scratch::new(&std::env::temp_dir()).unwrap();
    let sample = folder.path().join("sample");
    fs::write(&sample, RIGHT).unwrap();
    let (digest, bytes) = verify::measure(&sample).unwrap();
    fs::write(folder.path().join("file"), content).unwrap();
    Place {
        folder,
        digest,
        bytes,
    }
}

#[test]
fn half_made_file_is_removed_so_that_it_is_made_anew() {
    let place = place_with(&RIGHT[..2]);
    let mut record = Record::open(place.folder.path());

    assert!(!record.holds("file", &place.digest, place.bytes).unwrap());
    assert!(!place.folder.path().join("file").exists());
}

#[test]
fn right_file_is_recorded_and_found_by_the_next_run() {
    let place = place_with(RIGHT);
    let mut first = Record::open(place.folder.path());
    assert!(first.holds("file", &place.digest, place.bytes).unwrap());

    let mut second = Record::open(place.folder.path());
    assert!(second.holds("file", &place.digest, place.bytes).unwrap());
    assert_eq!(second.total(), (1, place.bytes));
}

#[test]
fn file_changed_after_it_was_recorded_is_noticed() {
    let place = place_with(RIGHT);
    let mut first = Record::open(place.folder.path());
    first.holds("file", &place.digest, place.bytes).unwrap();
    fs::write(place.folder.path().join("file"), b"longer than before").unwrap();

    let mut second = Record::open(place.folder.path());
    assert!(!second.holds("file", &place.digest, place.bytes).unwrap());
}

#[test]
fn wrong_result_is_not_put_in_place() {
    let place = place_with(RIGHT);
    let wrong = place.folder.path().join("wrong");
    fs::write(&wrong, b"wrong").unwrap();
    let mut record = Record::open(place.folder.path());

    let error = record
        .place(&wrong, "models/new", &place.digest, place.bytes)
        .unwrap_err();

    assert!(
        format!("{error:#}").contains("expected: 6 bytes"),
        "{error:#}"
    );
    assert!(!place.folder.path().join("models").exists());
}

#[test]
fn broken_record_is_an_empty_one() {
    let place = place_with(RIGHT);
    fs::write(place.folder.path().join(".setup.json"), b"{").unwrap();
    let mut record = Record::open(place.folder.path());

    assert!(record.holds("file", &place.digest, place.bytes).unwrap());
}

#[test]
fn foreign_architecture_is_refused_with_a_hint() {
    let manifests = Manifest::read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models"));
    let manifests = manifests.unwrap();
    let runtime = manifests
        .iter()
        .flat_map(|manifest| &manifest.wheels)
        .find(|wheel| wheel.architecture.is_some())
        .unwrap();

    let error = expect_architecture(runtime, "riscv64")
        .unwrap_err()
        .to_string();
    assert!(error.contains("hint: "), "{error}");
}

#[test]
fn tiny_models_are_fresh() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/generate.py");
    let mut check = crate::process::command("python3");
    check.arg("-B").arg(script).arg("--check");
    crate::process::run_quietly(&mut check).unwrap();
}

/// A wheel of three files, two of them in a folder, all of a time of their own.
const WHEEL: &str = "\
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    for name in ['a/z', 'b', 'a/c/d']:
        wheel.writestr(zipfile.ZipInfo(name, (2000 + int(sys.argv[2]), 1, 1, 0, 0, 0)), name)
";

#[test]
fn a_folder_of_a_wheel_is_one_archive_whatever_the_times_of_its_files() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let scratch = Scratch::new(&std::env::temp_dir()).unwrap();
    let [one, other] = ["1", "20"].map(|year| {
        let wheel = scratch.path().join("wheel");
        let archive = scratch.path().join("tar");
        let mut make = crate::process::command("python3");
        make.args(["-c", WHEEL]).arg(&wheel).arg(year);
        crate::process::run_quietly(&mut make).unwrap();
        let mut extract = crate::process::command("python3");
        extract.arg("-B").arg(models.join("extract.py"));
        extract.arg(&wheel).arg("a/").arg(&archive);
        crate::process::run_quietly(&mut extract).unwrap();
        fs::read(archive).unwrap()
    });
    assert_eq!(one, other);
    let held = [&one[..4], &one[1024..1026]];
    assert_eq!(
        held,
        [&b"c/d\0"[..], b"z\0"],
        "in the order of names, and not b"
    );
}
