//! What is installed beside the programs: the units as systemd reads and rates them, and the configuration file.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nn_tests::{program, run};
use serde_json::Value;

/// The service units, and the most that `systemd-analyze security` may rate each, in tenths. The targets are 16 and 20;
/// these are what was reached, so that a directive that is lost does not hide in the difference.
const SERVICES: [(&str, &str); 2] = [("nn-daemon.service", "14"), ("nn-host@.service", "12")];

/// The same of nn-daemon.service with the drop-ins of docs/operations.md, by their headings: each door alone, and all.
const DOORS: [(&str, &str); 3] = [
    ("## Metrics", "21"),
    ("### KServe over TCP", "22"),
    ("### Remote engines", "22"),
];
const ALL_DOORS: &str = "22";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn units() -> PathBuf {
    root().join("dist/systemd")
}

fn analyze(arguments: &[&str]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "systemd's own judgement")]
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(arguments).output().unwrap()
}

/// Whether systemd is here to judge; says so if not.
#[expect(clippy::print_stdout, reason = "a test says why it is skipped")]
fn has_systemd() -> bool {
    #[expect(clippy::disallowed_methods, reason = "systemd's own judgement")]
    let there = Command::new("systemd-analyze").arg("--version").output();
    if there.is_ok_and(|output| output.status.success()) {
        return true;
    }
    println!("skipped: systemd-analyze is not installed (Debian: apt-get install systemd)");
    false
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What systemd thinks a service leaves open, by its own names.
fn open_points(unit: &str) -> Vec<String> {
    let unit = units().join(unit);
    let judged = analyze(&["security", "--offline=true", "--json=short", text(&unit)]);
    let points: Vec<Value> = serde_json::from_slice(&judged.stdout).unwrap();
    points
        .iter()
        .filter(|point| !point["set"].as_bool().unwrap_or(true) && !point["exposure"].is_null())
        .map(|point| point["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !has_systemd() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for unit in fs::read_dir(units()).unwrap() {
        let unit = unit.unwrap().path();
        let copy = dir.path().join(unit.file_name().unwrap());
        // It looks for the programs, which are not installed here.
        let content = fs::read_to_string(&unit).unwrap();
        let content = content
            .replace("/usr/bin/nn-daemon", "/bin/true")
            .replace("/usr/bin/nn-host", "/bin/true");
        fs::write(&copy, content).unwrap();
        paths.push(text(&copy).to_owned());
    }
    let paths = paths.iter().map(String::as_str);
    let judged = analyze(
        &["verify", "--man=no"]
            .into_iter()
            .chain(paths)
            .collect::<Vec<_>>(),
    );
    let said = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success() && said.is_empty(), "{said}");
}

#[test]
fn services_expose_no_more_than_was_reached() {
    if !has_systemd() {
        return;
    }
    for (unit, most) in SERVICES {
        let unit = units().join(unit);
        let threshold = format!("--threshold={most}");
        let judged = analyze(&["security", "--offline=true", &threshold, text(&unit)]);
        let said = String::from_utf8_lossy(&judged.stdout);
        println!("{}", said.lines().last().unwrap_or_default());
        assert!(judged.status.success(), "{said}");
    }
}

/// The drop-in that operations.md has below a heading.
fn drop_in(heading: &str) -> String {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, below) = page.split_once(&format!("\n{heading}\n")).unwrap();
    let (_, below) = below.split_once("\n    [Service]\n").unwrap();
    let lines = below.lines().take_while(|line| line.starts_with("    "));
    let lines = lines.map(|line| format!("{}\n", line.trim_start()));
    format!("[Service]\n{}", lines.collect::<String>())
}

#[test]
fn a_door_exposes_no_more_than_was_reached() {
    if !has_systemd() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("nn-daemon.service");
    let judged = |doors: &[&str], most: &str| {
        let unit = fs::read_to_string(units().join("nn-daemon.service")).unwrap();
        let doors: String = doors.iter().map(|heading| drop_in(heading)).collect();
        fs::write(&copy, format!("{unit}\n{doors}")).unwrap();
        let threshold = format!("--threshold={most}");
        let judged = analyze(&["security", "--offline=true", &threshold, text(&copy)]);
        let said = String::from_utf8_lossy(&judged.stdout).into_owned();
        println!("{doors:?}: {}", said.lines().last().unwrap_or_default());
        assert!(judged.status.success(), "{said}");
    };
    for (heading, most) in DOORS {
        judged(&[heading], most);
    }
    judged(&DOORS.map(|(heading, _)| heading), ALL_DOORS);
}

#[test]
fn operations_explains_every_point_that_a_service_leaves_open() {
    if !has_systemd() {
        return;
    }
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let points = SERVICES.iter().flat_map(|(unit, _)| open_points(unit));
    // Seven kinds of namespaces are one row.
    let row = |point: &str| match point.split_once("=~") {
        Some(("RestrictNamespaces", _)) => "RestrictNamespaces".to_owned(),
        // As a table writes it.
        _ => point.trim_end_matches('=').replace('|', "\\|"),
    };
    let unexplained: Vec<String> = points
        .map(|point| row(&point))
        .filter(|row| !page.contains(&format!("| `{row}")))
        .collect();
    assert!(
        unexplained.is_empty(),
        "not in docs/operations.md: {unexplained:?}"
    );
}

/// The configuration that a daemon has with this file, or with none.
fn resulting(file: Option<&str>) -> String {
    let mut arguments = vec!["--print-config"];
    arguments.extend(file.map(|file| ["--config", file]).into_iter().flatten());
    let printed = run("nn-daemon", &arguments).ok().stdout;
    // Where this machine's runtime is, or that there is none.
    let machine = |line: &&str| {
        let found = line.contains("onnxruntime") || line.contains("openvino");
        !found && !line.contains("_dir = ")
    };
    printed
        .lines()
        .filter(machine)
        .map(|line| format!("{line}\n"))
        .collect()
}

fn installed() -> PathBuf {
    root().join("dist/nn-daemon.toml")
}

/// The file with every default in force: `#key = value` without its `#`.
fn uncommented() -> String {
    let file = fs::read_to_string(installed()).unwrap();
    let lines = file.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) => setting,
        Some(_) | None => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_installed_configuration_changes_nothing() {
    assert_eq!(resulting(Some(text(&installed()))), resulting(None));
}

#[test]
fn the_defaults_that_the_installed_configuration_shows_are_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("nn-daemon.toml");
    let worker = program("nn-worker");
    // Which are installed there, and built here.
    let shown = uncommented().replace("/usr/lib/nn-daemon/nn-worker", text(&worker));
    let shown = shown.replace(
        "/usr/lib/nn-daemon/nn-spawner",
        text(&worker.with_file_name("nn-spawner")),
    );
    fs::write(&file, shown).unwrap();
    assert_eq!(resulting(Some(text(&file))), resulting(None));
}

#[test]
fn the_installed_configuration_shows_every_key_in_its_section() {
    let keys = |text: &str| {
        let mut section = String::new();
        let mut keys = Vec::new();
        for line in text.lines() {
            if line.starts_with('[') {
                section = line.to_owned();
            } else if let Some((key, _)) = line.split_once(" = ") {
                keys.push(format!("{section} {key}"));
            }
        }
        keys
    };
    let shown = keys(&uncommented());
    let printed = run("nn-daemon", &["--print-config"]).ok().stdout;
    let missing: Vec<String> = keys(&printed)
        .into_iter()
        .filter(|key| !shown.contains(key))
        .collect();
    assert!(
        missing.is_empty(),
        "not in dist/nn-daemon.toml: {missing:?}"
    );
}
