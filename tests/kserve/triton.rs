//! Triton's own client in Python, as it comes and without an option, through both doors: what triton.py beside this file
//! goes through. `cargo xtask setup` installs it.

use std::path::{Path, PathBuf};

use nn_tests::{Daemon, model_repository, require_backends, run_script, tiny_model};

use crate::certificates::{Authority, Files};
use crate::tcp::address;

/// The models that it asks for.
const MODELS: [(&str, &str); 5] = [
    ("identity-u8", "identity-u8"),
    ("identity-fp32", "identity-fp32"),
    ("identity-fp16", "identity-fp16"),
    ("two-outputs", "two-outputs"),
    ("slow", "slow-f32"),
];

/// The Python that has the client, if it is there.
#[expect(clippy::print_stdout, reason = "a test says why it is skipped")]
fn python() -> Option<PathBuf> {
    let folder = model_repository();
    let python = folder.parent()?.join("clients/bin/python");
    if python.is_file() {
        return Some(python);
    }
    let reason = format!(
        "not there: {}; `cargo xtask setup` makes it",
        python.display()
    );
    assert!(
        std::env::var_os("NN_REQUIRE_BACKENDS").is_none(),
        "{reason}"
    );
    println!("skipped: {reason}");
    None
}

/// Goes through everything.
fn through(python: &Path, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kserve/triton.py");
    let output = run_script(python, &script, arguments).ok();
    assert!(output.stdout.contains("ok asynchronous"), "{output:?}");
}

fn daemon(sections: &str) -> Daemon {
    let daemon = Daemon::builder().with_sections(sections).start();
    for (name, file) in MODELS {
        daemon.load(name, &tiny_model(file));
    }
    daemon
}

#[test]
fn tritons_client_over_the_socket_needs_no_option() {
    require_backends!();
    let Some(python) = python() else { return };
    let daemon = daemon("");
    let url = format!("unix://{}", daemon.socket().display());
    through(&python, &[&url]);
}

#[test]
fn tritons_client_over_tcp_and_over_tls() {
    require_backends!();
    let Some(python) = python() else { return };
    let open = daemon("[kserve]\nlisten = \"127.0.0.1:0\"\ntenant = \"vision\"\n");
    through(&python, &[&address(&open), "--remote"]);

    let authority = Authority::new();
    let files = Files::of(&authority);
    files.write(&authority.sign(&["client.example"]), "client");
    let names = "[kserve.tenants]\n\"client.example\" = \"vision\"\n";
    let closed = daemon(&(files.section("", true) + names));
    let url = address(&closed).replace("127.0.0.1", "localhost");
    let [trusted, certificate, key] = ["authority.pem", "client.pem", "client.key"]
        .map(|name| files.path(name).display().to_string());
    let tls = [
        "--authority",
        &trusted,
        "--certificate",
        &certificate,
        "--key",
        &key,
    ];
    through(&python, &[&[&*url, "--remote"], &tls[..]].concat());
}
