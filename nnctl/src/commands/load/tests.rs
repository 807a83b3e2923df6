//! Files that are refused before anything is sent, and what is sent of the others.

use super::super::model::sample;
use super::*;

fn args(path: PathBuf) -> cli::Load {
    cli::Load {
        model: "foo".parse().unwrap(),
        path: Some(path),
        manifest: None,
        backend: None,
        device: None,
        placement: None,
        endpoints: Vec::new(),
        alias: None,
        stage: false,
        pin: false,
        no_wait: false,
        format: String::new(),
        timeout: 1,
    }
}

/// A folder with a file of so many bytes.
fn file(bytes: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    std::fs::write(&path, vec![7; bytes]).unwrap();
    (folder, path)
}

#[test]
fn a_missing_file_is_named() {
    let failure = check(args("/nonexistent/m.onnx".into())).unwrap_err();
    assert_eq!(failure.fault.message, "cannot read /nonexistent/m.onnx");
    assert_eq!(failure.exit.number(), 1);
}

#[test]
fn a_directory_and_an_empty_file_are_refused() {
    let (folder, empty) = file(0);
    let directory = check(args(folder.path().to_owned())).unwrap_err();
    let empty = check(args(empty)).unwrap_err();
    assert_eq!(
        (directory.fault.got.as_str(), empty.fault.got.as_str()),
        ("a directory", "an empty file")
    );
}

#[test]
fn what_is_sent_is_a_header_with_the_digest_and_chunks_within_the_limit() {
    let (_folder, path) = file(CHUNK_BYTES_MAX + 1);
    let progress = Output::progress(1);
    let mut upload = check(args(path)).unwrap();
    upload.hash(&progress).unwrap();
    let (sender, mut receiver) = mpsc::channel(8);
    upload.send(&sender, &progress).unwrap();
    drop(sender);

    let sent: Vec<v1::LoadRequest> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
    let [header, first, last] = sent.as_slice() else {
        panic!("{} requests", sent.len());
    };
    let digest = Sha256::digest(vec![7; CHUNK_BYTES_MAX + 1]).to_vec();
    assert!(matches!(
        &header.body,
        Some(v1::load_request::Body::Header(header)) if header.parts[0].sha256 == digest
    ));
    assert_eq!(chunk_bytes(first), CHUNK_BYTES_MAX);
    assert_eq!(chunk_bytes(last), 1);
}

fn chunk_bytes(request: &v1::LoadRequest) -> usize {
    match &request.body {
        Some(v1::load_request::Body::Chunk(chunk)) => chunk.len(),
        Some(v1::load_request::Body::Header(_)) | None => 0,
    }
}

#[test]
fn a_file_that_shrinks_is_told_apart_from_one_that_cannot_be_read() {
    let (_folder, path) = file(10);
    let mut upload = check(args(path.clone())).unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(5)
        .unwrap();
    let failure = upload.hash(&Output::progress(10)).unwrap_err();
    assert!(failure.fault.message.ends_with("became shorter meanwhile"));
}

#[test]
fn a_loaded_model_says_how_long_it_took() {
    let loaded = Loaded::read(sample()).unwrap();
    assert_eq!(
        loaded.text(Paint::Plain),
        "foo@2 ready in 123 ms (onnxruntime)\n"
    );
}

#[test]
fn a_model_that_is_not_waited_for_is_said_to_be_stored() {
    let mut model = sample();
    model.state = v1::ModelState::Absent.into();
    let text = Loaded::read(model).unwrap().text(Paint::Plain);
    assert_eq!(text, "foo@2 stored; loading goes on\n");
}

#[test]
fn a_model_that_failed_is_a_failure() {
    let mut model = sample();
    model.error = Some(Fault::runtime("no").into());
    assert!(Loaded::read(model).is_err());
}

#[test]
fn a_manifest_is_sent_with_the_labels_in_it() {
    let (folder, path) = file(1);
    let manifest = folder.path().join("any.toml");
    std::fs::write(&manifest, "[outputs.y]\nlabels_file = \"l.txt\"\n").unwrap();
    std::fs::write(folder.path().join("l.txt"), "cat\ndog\n").unwrap();
    let upload = check(cli::Load {
        manifest: Some(manifest),
        alias: Some("canary".parse().unwrap()),
        stage: true,
        ..args(path)
    });
    let header = upload.unwrap().header;
    assert!(header.manifest.contains("cat") && !header.manifest.contains("l.txt"));
    assert_eq!((header.alias.as_str(), header.staged), ("canary", true));
}

#[test]
fn a_manifest_with_a_slip_is_told_before_anything_is_sent() {
    let (folder, path) = file(1);
    let manifest = folder.path().join("model.toml");
    for (text, told) in [
        ("tenant = [\"a\"]", "did you mean tenants?"),
        ("[outputs.y]\nlabels_file = \"missing.txt\"", "missing.txt"),
    ] {
        std::fs::write(&manifest, text).unwrap();
        let failure = check(cli::Load {
            manifest: Some(manifest.clone()),
            ..args(path.clone())
        });
        let fault = failure.unwrap_err().fault;
        assert!(format!("{fault}").contains(told), "{fault}");
    }
}

#[test]
fn a_model_that_endpoints_compute_is_sent_without_a_file() {
    let upload = check(cli::Load {
        path: None,
        placement: Some("kserve".to_owned()),
        endpoints: vec!["Engine:8001".to_owned()],
        ..args(PathBuf::new())
    });
    let header = upload.unwrap().header;
    assert!(header.parts.is_empty());
    let said = Manifest::parse(&header.manifest, |_| Ok(String::new())).unwrap();
    assert_eq!(said.placement, Placement::KServe);
    assert_eq!(said.kserve.unwrap().endpoints, ["engine:8001"]);
}

#[test]
fn an_endpoint_that_is_no_address_is_told_before_anything_is_sent() {
    let failure = check(cli::Load {
        endpoints: vec!["http://engine".to_owned()],
        ..args(file(1).1)
    });
    let fault = failure.unwrap_err().fault.to_string();
    assert!(fault.contains("HOST:PORT"), "{fault}");
}
