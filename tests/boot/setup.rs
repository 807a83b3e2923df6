//! From nothing to an answer: the steps of docs/operations.md, and who may take them.

use std::process::Command;
use std::time::{Duration, Instant};

use nn_sandbox::{Facts, Layer};
use nn_tests::{Machine, coffee, model_file, program, tiny_model};

use crate::PORT;

/// A cold start of a development build: the guest is compiled first.
const START: Duration = Duration::from_secs(60);

/// The model by the name that the guest asks for, and one that nnctl can feed.
const FOLDER: &str = "/srv/models";

pub(crate) fn boot(machine: &mut Machine) -> String {
    machine.boot();
    machine
        .run("systemctl --version")
        .ok()
        .stdout
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// As from a tarball: the tree is put in place, then the steps of the manual.
pub(crate) fn install(machine: &mut Machine) -> String {
    let xtask = program("xtask");
    let profile = if xtask
        .parent()
        .is_some_and(|folder| folder.ends_with("release"))
    {
        "release"
    } else {
        "dev"
    };
    #[expect(clippy::disallowed_methods, reason = "the installation itself")]
    let mut install = Command::new(xtask);
    install.args([
        "install",
        "--prefix",
        "/usr",
        "--no-build",
        "--profile",
        profile,
    ]);
    // Of the test's own package, when cargo runs it.
    install.env_remove("CARGO_MANIFEST_DIR");
    let output = install
        .arg("--destdir")
        .arg(machine.root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    machine.run("systemd-sysusers nn-daemon.conf").success();
    machine
        .run("systemd-tmpfiles --create nn-daemon.conf")
        .success();
    machine.run("systemctl daemon-reload").success();
    let verified = machine.run(
        "systemd-analyze verify --man=no nn-daemon.service nn-daemon.socket nn-host@demo.service",
    );
    assert_eq!((verified.code, verified.stderr.as_str()), (Some(0), ""));
    machine
        .run("systemctl enable --now nn-daemon.socket")
        .success();
    let doors = machine
        .run("stat --format '%U:%G %a' /run/nn-daemon /run/nn-daemon/*.sock")
        .ok()
        .stdout;
    assert_eq!(
        doors,
        "root:nn-clients 750\nroot:nn-clients 660\nroot:nn-clients 660\n"
    );
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned()
}

/// Why what was built here does not run there: the C library of Debian 12 may be older than this machine's.
pub(crate) fn cannot_run(machine: &Machine) -> Option<String> {
    let version = machine.run("nnctl --version");
    version.stderr.contains("GLIBC_").then_some(version.stderr)
}

pub(crate) fn first_load(machine: &mut Machine) -> String {
    machine.copy(
        &model_file("efficientnet-lite0"),
        &format!("{FOLDER}/model.onnx"),
    );
    machine.copy(&tiny_model("add-f32"), &format!("{FOLDER}/add.onnx"));
    assert_eq!(
        machine.property("nn-daemon.service", "ActiveState"),
        "inactive"
    );
    let start = Instant::now();
    machine
        .run(&format!(
            "nnctl load efficientnet-lite0 {FOLDER}/model.onnx"
        ))
        .success();
    let took = start.elapsed();
    assert_eq!(
        machine.property("nn-daemon.service", "ActiveState"),
        "active"
    );
    machine
        .run(&format!("nnctl load add {FOLDER}/add.onnx"))
        .success();
    format!(
        "loaded {:.0} ms after nothing ran",
        took.as_secs_f64() * 1e3
    )
}

/// An array of one number, as NumPy writes it.
fn npy(number: f32) -> Vec<u8> {
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{text:<117}\n").bytes());
    bytes.extend(number.to_le_bytes());
    bytes
}

pub(crate) fn rights(machine: &mut Machine) -> String {
    machine
        .run("useradd --groups nn-clients alice && useradd bob")
        .success();
    machine.write("/srv/a.npy", npy(1.0));
    machine.write("/srv/b.npy", npy(2.0));
    let infer = "nnctl infer add --input a=/srv/a.npy --input b=/srv/b.npy";
    let load = format!("nnctl load other {FOLDER}/add.onnx");

    let alice = machine.run_as("alice", &load);
    assert_eq!(
        alice.code,
        Some(5),
        "a member of nn-clients loads: {alice:?}"
    );
    machine.run_as("alice", infer).success();
    let bob = machine.run_as("bob", infer);
    assert_eq!(bob.code, Some(5), "somebody else infers: {bob:?}");
    let own = machine.run_as("nn-daemon", "nnctl status");
    assert_eq!(own.code, Some(0), "the daemon's user administers: {own:?}");
    "nn-clients infer and do not load; others do nothing".to_owned()
}

pub(crate) fn jailed(machine: &mut Machine) -> String {
    let status = machine.json("nnctl --json status");
    assert_eq!(status["degraded"], false);
    let layers = status["isolation"].as_array().unwrap();
    let facts = Facts::read();
    let here = |name: &str| {
        let layer = Layer::ALL.into_iter().find(|layer| layer.name() == name);
        layer.is_none_or(|layer| facts.missing(layer).is_none())
    };
    // What this kernel has, the machine's service must have: no directive takes a layer away.
    let missing: Vec<_> = layers
        .iter()
        .filter(|layer| layer["active"] != true && here(layer["layer"].as_str().unwrap()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let journal = machine.journal("nn-daemon");
    assert!(!journal.contains("DEGRADED"), "{journal}");
    let active = layers.iter().filter(|layer| layer["active"] == true);
    format!("{} of {}", active.count(), layers.len())
}

/// What the guest says of a picture, after the status; or what came instead.
pub(crate) fn label(machine: &Machine, picture: &[u8]) -> String {
    match machine.post(PORT, "/", picture) {
        Ok(reply) if reply.whole => format!("{} {}", reply.status, reply.body),
        Ok(reply) => format!("broken off: {} {}", reply.status, reply.body),
        Err(error) => error.to_string(),
    }
}

pub(crate) fn is_right(label: &str) -> bool {
    label.starts_with("200 espresso 0.9")
}

pub(crate) fn guest(machine: &mut Machine) -> String {
    machine
        .run("cp /etc/nn-host/example.toml /etc/nn-host/demo.toml")
        .success();
    let start = Instant::now();
    let started = machine.run("systemctl enable --now nn-host@demo");
    assert_eq!(
        started.code,
        Some(0),
        "{}\n{}",
        started.stderr,
        machine.journal("nn-host@demo")
    );
    let picture = coffee();
    let mut said = String::new();
    machine.wait("the guest answers", START, |machine| {
        said = label(machine, &picture);
        is_right(&said)
    });
    assert_eq!(machine.property("nn-host@demo", "DynamicUser"), "yes");
    let line = said.lines().next().unwrap_or_default();
    format!(
        "{line}, {:.1} s after its start",
        start.elapsed().as_secs_f64()
    )
}
