//! Trees, and what is found in them.

use std::os::unix::fs::symlink;

use super::*;

struct Tree(tempfile::TempDir);

impl Tree {
    fn of(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            let path = tree.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    fn scan(&self) -> Scan {
        scan(self.0.path()).unwrap()
    }
}

fn ids(scan: &Scan) -> Vec<String> {
    let id = |found: &Found| format!("{}@{}", found.name, found.version);
    scan.found.iter().map(id).collect()
}

#[test]
fn only_what_fits_the_layout_is_found() {
    let scan = Tree::of(&[
        ("foo/1/model.onnx", ""),
        ("foo/12/model.onnx", ""),
        ("foo/x/model.onnx", ""),
        ("foo/3/other", ""),
        (".git/1/model.onnx", ""),
        ("a b/1/model.onnx", ""),
        ("empty/README", ""),
        ("bar", ""),
    ])
    .scan();
    assert_eq!(ids(&scan), ["foo@1", "foo@12"]);
    assert_eq!(scan.left_out.len(), 2, "{:?}", scan.left_out);
    assert!(
        scan.left_out.iter().any(|line| line.contains("a b")),
        "{:?}",
        scan.left_out
    );
    assert!(
        scan.left_out.iter().any(|line| line.contains("empty")),
        "{:?}",
        scan.left_out
    );
}

#[test]
fn a_version_has_its_own_manifest_or_its_models() {
    let scan = Tree::of(&[
        (
            "foo/model.toml",
            "description = \"all\"\n[outputs.y]\nlabels_file = \"l.txt\"",
        ),
        ("foo/l.txt", "a\nb\n"),
        ("foo/1/model.onnx", ""),
        ("foo/2/model.onnx", ""),
        ("foo/2/model.toml", "description = \"two\""),
    ])
    .scan();
    let said: Vec<&str> = scan
        .found
        .iter()
        .map(|f| f.manifest.description.as_str())
        .collect();
    assert_eq!(said, ["all", "two"]);
    assert_eq!(scan.found[0].manifest.labels["y"], ["a", "b"]);
    assert!(scan.found[1].manifest.labels.is_empty());
}

#[test]
fn a_model_whose_manifest_is_wrong_is_left_out_alone() {
    let scan = Tree::of(&[
        ("bad/model.toml", "tenant = [\"a\"]"),
        ("bad/1/model.onnx", ""),
        ("worse/config.pbtxt", "backend: \"tensorrt\""),
        ("worse/1/model.onnx", ""),
        ("good/1/model.onnx", ""),
    ])
    .scan();
    assert_eq!(ids(&scan), ["good@1"]);
    assert!(
        scan.left_out
            .iter()
            .any(|line| line.contains("bad") && line.contains("tenants"))
    );
    assert!(
        scan.left_out
            .iter()
            .any(|line| line.contains("worse") && line.contains("tensorrt"))
    );
}

#[test]
fn a_version_whose_manifest_is_wrong_is_left_out_alone_and_told() {
    let scan = Tree::of(&[
        ("foo/1/model.onnx", ""),
        ("foo/2/model.onnx", ""),
        ("foo/2/model.toml", "tenant = [\"a\"]"),
        ("foo/3/model.onnx", ""),
        ("bar/model.toml", "= wrong"),
        ("bar/1/model.onnx", ""),
        ("bar/2/model.onnx", ""),
        ("bar/2/model.toml", "queue_max = 1"),
    ])
    .scan();
    assert_eq!(ids(&scan), ["bar@2", "foo@1", "foo@3"]);
    let told = |of: &str| scan.left_out.iter().any(|line| line.contains(of));
    assert!(
        told("foo@2 is left out") && told("bar@1 is left out"),
        "{:?}",
        scan.left_out
    );
}

#[test]
fn a_tree_made_for_triton_is_served_as_it_says() {
    let config = r#"
        backend: "onnxruntime"
        default_model_filename: "net.onnx"
        output [ { name: "y" label_filename: "labels.txt" } ]
        version_policy { latest { num_versions: 1 } }
        dynamic_batching { }
    "#;
    let scan = Tree::of(&[
        ("foo/config.pbtxt", config),
        ("foo/labels.txt", "cat\ndog\n"),
        ("foo/1/net.onnx", ""),
        ("foo/2/net.onnx", ""),
        ("foo/3/model.onnx", ""),
    ])
    .scan();
    assert_eq!(ids(&scan), ["foo@2"]);
    assert_eq!(scan.found[0].manifest.labels["y"], ["cat", "dog"]);
    assert!(
        scan.ignored[0].contains("dynamic_batching"),
        "{:?}",
        scan.ignored
    );
}

#[test]
fn a_tree_of_links_is_read_and_a_text_outside_of_it_is_not() {
    let tree = Tree::of(&[("..data/foo/1/model.onnx", ""), ("real/1/model.onnx", "")]);
    let root = tree.0.path();
    symlink("..data/foo", root.join("foo")).unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    symlink(secret.path(), root.join("real/model.toml")).unwrap();

    let scan = tree.scan();

    assert_eq!(ids(&scan), ["foo@1"]);
    assert!(
        scan.left_out[0].contains("leads out of the repository"),
        "{:?}",
        scan.left_out
    );
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let tree = Tree::of(&[]);
    assert!(scan(&tree.0.path().join("missing")).is_err());
}
