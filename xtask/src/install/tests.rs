//! An installation of small stand-ins, made, made again, and looked at.

use super::*;
use tree::{Content, Entry, Kind};

/// A checkout with what an installation takes from it, all of it small.
fn sources(folder: &Path) -> Sources {
    let sources = Sources {
        root: folder.join("checkout"),
        programs: folder.join("programs"),
        runtimes: folder.join("runtimes"),
        guests: folder.join("guests"),
        manual: folder.join("manual"),
        notices: folder.join("notices"),
    };
    let unit = "ExecStart=/usr/bin/nn-daemon --config /etc/nn-daemon/nn-daemon.toml\n";
    let files = [
        ("checkout/README.md", "[how](docs/operations.md)"),
        ("checkout/SECURITY.md", "s"),
        ("checkout/CHANGELOG.md", "c"),
        ("checkout/LICENSE", "l"),
        ("checkout/docs/operations.md", "o"),
        ("checkout/docs/adr/0001-why.md", "a"),
        ("checkout/sandbox-profiles/worker-ort.toml", "p"),
        ("checkout/guests/bin/http-classify.wasm", "g"),
        ("checkout/dist/systemd/nn-daemon.service", unit),
        ("checkout/dist/systemd/.hidden", "h"),
        ("checkout/dist/sysusers.d/nn-daemon.conf", "u"),
        ("checkout/dist/tmpfiles.d/nn-daemon.conf", "t"),
        ("checkout/dist/nn-daemon.toml", "# ours\n"),
        ("checkout/dist/nn-host/example.toml", "e"),
        ("checkout/proto/nn/v1/infer.proto", "i"),
        ("checkout/guests/wit/wasi-nn.wit", "w"),
        ("checkout/guests/assets/coffee.jpg", "j"),
        ("runtimes/onnxruntime/libonnxruntime.so.1.28.0", "r"),
        ("runtimes/onnxruntime/LICENSE", "rl"),
        ("manual/man/man8/nn-daemon.8", "m"),
        ("notices", "n"),
        ("manual/bash/nnctl", "b"),
        ("manual/zsh/_nnctl", "z"),
        ("manual/fish/nnctl.fish", "f"),
    ];
    let programs = tree::programs().map(|name| (format!("programs/{name}"), "elf"));
    let files = files.map(|(path, text)| (path.to_owned(), text));
    for (path, text) in files.into_iter().chain(programs) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    sources
}

fn layout(prefix: &str) -> Layout {
    Layout::new(Path::new(prefix)).unwrap()
}

fn scratch() -> Scratch {
    Scratch::new(&std::env::temp_dir()).unwrap()
}

/// Entries put below `root`, and their list there.
fn installed(folder: &Path, prefix: &str) -> (PathBuf, List) {
    let (root, layout) = (folder.join("root"), layout(prefix));
    let entries = tree::collect(&sources(folder), &layout).unwrap();
    place::put(&root, &entries).unwrap();
    let list = List::of(&root, &entries).unwrap();
    list.write(&root, &layout).unwrap();
    (root, list)
}

fn config(text: &str) -> Entry {
    Entry {
        to: "etc/a.toml".into(),
        content: Content::Text(text.to_owned()),
        kind: Kind::Config,
    }
}

#[test]
fn the_layout_below_usr_is_the_documented_one() {
    let folder = scratch();
    let entries = tree::collect(&sources(folder.path()), &layout("/usr")).unwrap();
    let paths: Vec<&str> = entries
        .iter()
        .map(|entry| entry.to.to_str().unwrap())
        .collect();
    let wanted = [
        "etc/nn-daemon/nn-daemon.toml",
        "etc/nn-host/example.toml",
        "usr/bin/nn-daemon",
        "usr/bin/nn-host",
        "usr/bin/nnctl",
        "usr/lib/nn-daemon/nn-dialer",
        "usr/lib/nn-daemon/nn-relay",
        "usr/lib/nn-daemon/nn-spawner",
        "usr/lib/nn-daemon/nn-worker",
        "usr/lib/nn-daemon/runtimes/onnxruntime/LICENSE",
        "usr/lib/nn-daemon/runtimes/onnxruntime/libonnxruntime.so.1.28.0",
        "usr/lib/systemd/system/nn-daemon.service",
        "usr/lib/sysusers.d/nn-daemon.conf",
        "usr/lib/tmpfiles.d/nn-daemon.conf",
        "usr/share/bash-completion/completions/nnctl",
        "usr/share/doc/nn-daemon/CHANGELOG.md",
        "usr/share/doc/nn-daemon/LICENSE",
        "usr/share/doc/nn-daemon/README.md",
        "usr/share/doc/nn-daemon/SECURITY.md",
        "usr/share/doc/nn-daemon/THIRD-PARTY-NOTICES.txt",
        "usr/share/doc/nn-daemon/adr/0001-why.md",
        "usr/share/doc/nn-daemon/operations.md",
        "usr/share/fish/vendor_completions.d/nnctl.fish",
        "usr/share/man/man8/nn-daemon.8",
        "usr/share/nn-daemon/examples/coffee.jpg",
        "usr/share/nn-daemon/examples/http-classify.wasm",
        "usr/share/nn-daemon/examples/wasi-nn.wit",
        "usr/share/nn-daemon/nn-daemon.toml",
        "usr/share/nn-daemon/nn-host.toml",
        "usr/share/nn-daemon/proto/nn/v1/infer.proto",
        "usr/share/nn-daemon/sandbox-profiles/worker-ort.toml",
        "usr/share/zsh/vendor-completions/_nnctl",
    ];
    assert_eq!(paths, wanted);
}

#[test]
fn units_of_another_prefix_name_its_paths() {
    let folder = scratch();
    let (root, _) = installed(folder.path(), "/opt/nn");
    let unit = fs::read_to_string(root.join("opt/nn/lib/systemd/system/nn-daemon.service"));
    assert_eq!(
        unit.unwrap(),
        "ExecStart=/opt/nn/bin/nn-daemon --config /opt/nn/etc/nn-daemon/nn-daemon.toml\n"
    );
}

#[test]
fn programs_can_be_run_and_nothing_else_can() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = scratch();
    let (root, _) = installed(folder.path(), "/usr");
    let mode = |path: &str| {
        let metadata = fs::metadata(root.join(path)).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    let modes = [
        mode("usr/lib/nn-daemon/nn-worker"),
        mode("usr/lib/nn-daemon"),
        mode("etc/nn-daemon/nn-daemon.toml"),
    ];
    assert_eq!(modes, [0o755, 0o755, 0o644]);
}

#[test]
fn without_the_framework_nothing_is_installed() {
    let folder = scratch();
    let sources = sources(folder.path());
    fs::remove_dir_all(&sources.runtimes).unwrap();
    let error = tree::collect(&sources, &layout("/usr")).unwrap_err();
    assert!(error.to_string().contains("cargo xtask setup"), "{error}");
}

#[test]
fn a_file_to_ship_that_has_no_place_is_not_left_out_in_silence() {
    let folder = scratch();
    let sources = sources(folder.path());
    fs::write(sources.root.join("dist/new.conf"), "n").unwrap();
    let error = tree::collect(&sources, &layout("/usr")).unwrap_err();
    assert!(error.to_string().contains("dist/new.conf"), "{error}");
}

#[test]
fn configuration_that_was_changed_stays_and_the_new_one_lies_beside_it() {
    let folder = scratch();
    let root = folder.path();
    place::put(root, &[config("1")]).unwrap();
    fs::write(root.join("etc/a.toml"), "mine").unwrap();

    let done = place::put(root, &[config("2")]).unwrap();

    let read = |name: &str| fs::read_to_string(root.join("etc").join(name)).unwrap();
    assert_eq!(
        (read("a.toml"), read("a.toml.new")),
        ("mine".into(), "2".into())
    );
    assert_eq!(done.kept, [root.join("etc/a.toml")]);
}

#[test]
fn configuration_that_is_the_new_one_already_has_nothing_beside_it() {
    let folder = scratch();
    let root = folder.path();
    place::put(root, &[config("1")]).unwrap();
    fs::write(root.join("etc/a.toml"), "2").unwrap();
    fs::write(root.join("etc/a.toml.new"), "of an earlier time").unwrap();

    let done = place::put(root, &[config("2")]).unwrap();

    assert_eq!(done, place::Done::default());
    assert!(!root.join("etc/a.toml.new").exists());
}

#[test]
fn a_second_installation_writes_nothing_new() {
    let folder = scratch();
    let (root, _) = installed(folder.path(), "/usr");
    let entries = tree::collect(&sources(folder.path()), &layout("/usr")).unwrap();
    assert_eq!(place::put(&root, &entries).unwrap(), place::Done::default());
}

#[test]
fn what_the_new_version_does_not_have_goes_with_its_empty_folder() {
    let folder = scratch();
    let (root, list) = installed(folder.path(), "/usr");
    let mut older = fs::read_to_string(root.join("usr/share/nn-daemon/manifest")).unwrap();
    older.push_str(&format!(
        "{}  usr/lib/nn-daemon/old/thing\n",
        "0".repeat(64)
    ));
    fs::create_dir_all(root.join("usr/lib/nn-daemon/old")).unwrap();
    fs::write(root.join("usr/lib/nn-daemon/old/thing"), "old").unwrap();
    fs::write(root.join("usr/share/nn-daemon/manifest"), older).unwrap();

    let older = List::read(&root, &layout("/usr")).unwrap();
    let gone = place::remove(&root, &older.without(&list)).unwrap();

    assert_eq!(gone, 1);
    assert!(!root.join("usr/lib/nn-daemon/old").exists());
    assert!(root.join("usr/lib/nn-daemon/nn-worker").exists());
}

#[test]
fn a_whole_installation_verifies_and_a_changed_configuration_is_no_finding() {
    let folder = scratch();
    let (root, _) = installed(folder.path(), "/usr");
    fs::write(root.join("etc/nn-daemon/nn-daemon.toml"), "mine").unwrap();
    let list = List::read(&root, &layout("/usr")).unwrap();
    assert_eq!(list.verify(&root), Vec::<String>::new());
}

#[test]
fn what_was_changed_or_removed_is_found() {
    let folder = scratch();
    let (root, list) = installed(folder.path(), "/usr");
    fs::write(root.join("usr/bin/nnctl"), "other").unwrap();
    fs::remove_file(root.join("usr/lib/nn-daemon/nn-worker")).unwrap();
    fs::remove_file(root.join("etc/nn-daemon/nn-daemon.toml")).unwrap();
    let findings = list.verify(&root).join("\n");
    assert!(
        findings.contains("usr/bin/nnctl: is not what was installed"),
        "{findings}"
    );
    assert!(findings.contains("nn-worker: cannot be read"), "{findings}");
    assert!(
        findings.contains("nn-daemon.toml: is not there"),
        "{findings}"
    );
}

#[test]
fn a_list_that_leads_out_of_the_folder_is_refused() {
    let folder = scratch();
    let (root, _) = installed(folder.path(), "/usr");
    let line = format!("{}  usr/../../etc/passwd\n", "0".repeat(64));
    fs::write(root.join("usr/share/nn-daemon/manifest"), line).unwrap();
    let error = List::read(&root, &layout("/usr")).unwrap_err();
    assert!(
        format!("{error:#}").contains("not a path below the root"),
        "{error:#}"
    );
}

#[test]
fn a_folder_without_an_installation_is_told_so() {
    let folder = scratch();
    let error = List::read(folder.path(), &layout("/usr")).unwrap_err();
    assert!(error.to_string().contains("--destdir"), "{error}");
}
