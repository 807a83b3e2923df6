//! Devices that are not there: an error wherever one is asked for, and never the processor in its place.

use std::fs;

use nn_tests::{guest_wasm, nn_host_with, nnctl, tiny_model};

use super::{daemon, is_there, scale};

#[test]
fn a_device_that_is_not_there_is_refused_and_not_replaced_by_the_processor() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("model.toml");
    fs::write(&manifest, "backend = \"openvino\"\ndevice = \"gpu\"\n").unwrap();
    let path = tiny_model("add-f32");
    let (path, manifest) = (path.to_str().unwrap(), manifest.to_str().unwrap());
    let refused = nnctl(&daemon, &["load", "add", path, "--manifest", manifest]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("device"), "{refused:?}");
}

#[test]
fn a_device_on_the_command_line_is_refused_the_same_and_cpu_is_taken() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    let path = tiny_model("add-f32");
    let load = |device: &str| {
        let path = path.to_str().unwrap();
        let of = [
            "load",
            "add",
            path,
            "--backend",
            "openvino",
            "--device",
            device,
        ];
        nnctl(&daemon, &of)
    };
    let refused = load("gpu");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let told = ["no such device", "expected: cpu", "got: gpu"];
    assert!(
        told.iter().all(|part| refused.stderr.contains(part)),
        "{refused:?}"
    );
    assert!(daemon.models().is_empty());
    let taken = load("cpu").ok();
    assert!(taken.stdout.contains("(openvino)"), "{taken:?}");
}

#[test]
fn a_guest_that_asks_for_another_device_is_told_which_one_there_is() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scale.xml"), scale::XML).unwrap();
    fs::write(folder.path().join("scale.bin"), scale::weights([1.0; 4])).unwrap();
    let dir = format!("{}::/m", folder.path().display());
    let cases = [
        ("wit-cases", "gpu"),
        ("wit-cases", "tpu"),
        ("witx-cases", "gpu"),
        ("witx-cases", "tpu"),
    ];
    for (guest, target) in cases {
        let arguments = [
            "load-bytes",
            "/m/scale.xml,/m/scale.bin",
            "openvino",
            target,
        ];
        let told = nn_host_with(&daemon, &["--dir", &dir], &guest_wasm(guest), &arguments);
        assert_ne!(told.code, Some(0), "{guest} {target}: {told:?}");
        let code = told.stdout.contains("unsupported-operation");
        // A core module sees no more than that.
        let whole = told.stdout.contains("expected: the execution target cpu");
        assert!(
            code && (whole || guest == "witx-cases"),
            "{guest} {target}: {told:?}"
        );
    }
    assert!(daemon.models().is_empty() && daemon.workers().is_empty());
}
