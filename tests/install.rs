//! An installation in a folder, made by `cargo xtask install` from the programs under test: its programs find each
//! other and their framework by where they lie, and it can be looked at and made again.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::fs;
use std::path::Path;
use std::process::Command;

use nn_tests::{Output, program, require_backends, run};
use serde_json::Value;

/// `cargo xtask install` of what is built, below `root`.
fn install(root: &Path, more: &[&str]) -> Output {
    let built = program("nn-daemon");
    let is_release = built
        .parent()
        .is_some_and(|folder| folder.ends_with("release"));
    let profile = if is_release { "release" } else { "dev" };
    let place = ["--prefix", "/usr", "--destdir", root.to_str().unwrap()];
    let what = ["install", "--profile", profile];
    run("xtask", &[what.as_slice(), &place, more].concat())
}

/// A program of the installation, in an environment that tells it nothing.
fn installed(root: &Path, name: &str, arguments: &[&str]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    let mut command = Command::new(root.join("usr/bin").join(name));
    let output = command.args(arguments).env_clear().output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn an_installed_daemon_finds_its_programs_and_its_framework() {
    require_backends!();
    let root = tempfile::tempdir().unwrap();
    install(root.path(), &["--no-build"]).success();
    let file = root.path().join("etc/nn-daemon/nn-daemon.toml");
    let config = ["--config", file.to_str().unwrap()];

    installed(
        root.path(),
        "nn-daemon",
        &[&config[..], &["--check"]].concat(),
    )
    .success();
    let print = [&config[..], &["--print-config"]].concat();
    let printed = installed(root.path(), "nn-daemon", &print).ok();

    let private = root.path().join("usr/lib/nn-daemon");
    let own = printed.stdout.matches(private.to_str().unwrap()).count();
    // Both frameworks' libraries, the worker, the spawner.
    assert_eq!(own, 4, "{}", printed.stdout);

    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("\n[remote]\nendpoints = [\"engine.example:8001\"]\n");
    fs::write(&file, text).unwrap();
    let printed = installed(root.path(), "nn-daemon", &print).ok();
    for name in ["relay", "dialer"] {
        let line = format!("{name} = {:?}\n", private.join(format!("nn-{name}")));
        assert!(printed.stdout.contains(&line), "{line} {}", printed.stdout);
    }
}

#[test]
fn an_installed_nnctl_finds_the_daemon_and_its_configuration() {
    require_backends!();
    let root = tempfile::tempdir().unwrap();
    install(root.path(), &["--no-build"]).success();
    let file = root.path().join("etc/nn-daemon/nn-daemon.toml");
    let arguments = ["--json", "doctor", "--config", file.to_str().unwrap()];
    let doctor = installed(root.path(), "nnctl", &arguments);
    let diagnosis: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let checks = diagnosis["checks"].as_array().unwrap().iter();
    let installed = ["programs.", "configuration.", "runtimes."];
    let wrong: Vec<&Value> = checks
        .filter(|check| {
            let id = check["id"].as_str().unwrap();
            installed.iter().any(|group| id.starts_with(group)) && check["level"] != "ok"
        })
        .collect();
    assert_eq!(wrong, Vec::<&Value>::new());
}

#[test]
fn a_second_installation_keeps_the_configuration_and_the_check_passes() {
    require_backends!();
    let root = tempfile::tempdir().unwrap();
    install(root.path(), &["--no-build"]).success();
    let file = root.path().join("etc/nn-daemon/nn-daemon.toml");
    fs::write(&file, "# mine\n").unwrap();

    let again = install(root.path(), &["--no-build"]).ok();

    assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\n");
    assert!(
        again.stderr.contains("has been changed and stays"),
        "{again:?}"
    );
    install(root.path(), &["--check"]).success();
    fs::write(root.path().join("usr/bin/nnctl"), "no more").unwrap();
    let broken = install(root.path(), &["--check"]);
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(broken.stdout.starts_with("usr/bin/nnctl: "), "{broken:?}");
}
