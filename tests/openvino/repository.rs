//! IR in repositories, as OpenVINO Model Server's and Triton's users have it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nn_client::Client;
use nn_tensor::{DType, Fault};
use nn_tests::{Daemon, compute, nnctl, soak_rounds, tiny_model, wait_until};

use super::scale::{self, floats};
use super::{PATIENCE, f32s, is_there};

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir(tree.root()).unwrap();
        tree
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("repo")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// An IR that scales by a number.
    fn scales(&self, dir: &str, stem: &str, by: f32) {
        self.write(&format!("{dir}/{stem}.xml"), scale::XML);
        self.write(&format!("{dir}/{stem}.bin"), scale::weights([by; 4]));
    }

    fn daemon(&self, limits: &str) -> Daemon {
        let builder = Daemon::builder().with_openvino().with_threads(2);
        builder
            .with_repository(&self.root())
            .with_limits(limits)
            .start()
    }
}

/// By how much a name scales.
async fn scales(client: &Client, name: &str) -> Result<f32, Fault> {
    let ones = floats(&[1.0; 4]);
    let tensors = [("x", DType::Fp32, &[4][..], ones.as_slice())];
    Ok(f32s(&compute(client, name, &tensors, None).await?[0])[0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_made_for_other_servers_are_served_unchanged() {
    if !is_there() {
        return;
    }
    let tree = Tree::new();
    tree.scales("plain/1", "model", 2.0);
    tree.scales("ovms/1", "ir_model", 3.0);
    tree.scales("ovms/2", "ir_model", 4.0);
    tree.scales("triton/1", "model", 5.0);
    tree.write(
        "triton/config.pbtxt",
        "backend: \"openvino\"\nmax_batch_size: 0\n",
    );
    let add = fs::read(tiny_model("add-f32")).unwrap();
    tree.write("onnx/1/model.onnx", &add);
    tree.write(
        "onnx/config.pbtxt",
        "backend: \"openvino\" default_model_filename: \"model.onnx\"",
    );
    tree.write("cut/1/model.xml", scale::XML);
    tree.write("both/1/model.onnx", &add);
    tree.write("both/1/model.xml", scale::XML);
    let daemon = tree.daemon("");
    let client = daemon.client();
    assert_eq!(scales(&client, "plain").await, Ok(2.0));
    assert_eq!(scales(&client, "ovms").await, Ok(4.0));
    assert_eq!(scales(&client, "ovms@1").await, Ok(3.0));
    assert_eq!(scales(&client, "triton").await, Ok(5.0));
    let backend = |name: &str| {
        let models = daemon.models();
        let found = models.iter().find(|model| model["name"] == name);
        found.map(|model| model["backend"].as_str().unwrap().to_owned())
    };
    assert_eq!(backend("onnx").as_deref(), Some("openvino"));
    assert_eq!(backend("both").as_deref(), Some("onnxruntime"));
    assert_eq!(backend("cut"), None);
    let log = daemon.log();
    assert!(
        log.contains("cut@1 is left out") && log.contains("model.bin"),
        "{log}"
    );
    assert!(log.contains("both@1: model.xml: without effect"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_comes_is_served_after_a_rescan_and_one_that_rested_is_read_again() {
    if !is_there() {
        return;
    }
    let tree = Tree::new();
    tree.scales("foo/1", "model", 2.0);
    tree.scales("bar/1", "model", 7.0);
    let daemon = tree.daemon("workers_max = 1");
    let client = daemon.client();
    for _ in 0..2 {
        assert_eq!(scales(&client, "foo").await, Ok(2.0));
        assert_eq!(scales(&client, "bar").await, Ok(7.0));
    }
    tree.scales("foo/2", "model", 3.0);
    daemon.reload();
    let now = || {
        nnctl(&daemon, &["describe", "foo"])
            .stdout
            .contains("foo@2")
    };
    wait_until("the new version is current", PATIENCE, now);
    // The client hears of it by its stream, a moment after the operator.
    let end = Instant::now() + PATIENCE;
    let mut answer = scales(&client, "foo").await;
    while answer == Ok(2.0) && Instant::now() < end {
        answer = scales(&client, "foo").await;
    }
    assert_eq!(answer, Ok(3.0));
    // Both files are one version: other weights under it are another's.
    assert_eq!(scales(&client, "bar").await, Ok(7.0));
    tree.write("foo/2/model.bin", scale::weights([9.0; 4]));
    let fault = scales(&client, "foo").await.unwrap_err();
    assert!(fault.message.contains("damaged"), "{fault}");
}

/// Has a link lead from one directory to the other and back until the work is done.
fn swapping<T>(link: &Path, contents: [&Path; 2], work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let beside = link.with_extension("beside");
            while !stop.load(Ordering::Relaxed) {
                for content in contents {
                    symlink(content, &beside).unwrap();
                    fs::rename(&beside, link).unwrap();
                }
            }
        });
        let done = work();
        stop.store(true, Ordering::Relaxed);
        done
    })
}

/// Each of the two scales its four numbers alike: of a mix of one's XML and the other's weights one can tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_whose_directory_is_swapped_while_it_is_read_is_taken_whole() {
    if !is_there() {
        return;
    }
    let tree = Tree::new();
    let folded = scale::XML.replace("type=\"Multiply\"", "type=\"Add\"");
    tree.scales(".store/scales", "model", 3.0);
    tree.write(".store/adds/model.xml", folded);
    tree.write(".store/adds/model.bin", scale::weights([10.0; 4]));
    let daemon = tree.daemon("");
    let store = tree.root().join(".store");
    let contents = [store.join("scales"), store.join("adds")];
    for round in 0..soak_rounds(3) {
        let name = format!("m{round:04}");
        let model = tree.root().join(&name);
        fs::create_dir_all(&model).unwrap();
        symlink(&contents[0], model.join("1")).unwrap();
        let is_there = || nnctl(&daemon, &["describe", &name]).code == Some(0);
        tokio::task::block_in_place(|| {
            swapping(&model.join("1"), [&contents[0], &contents[1]], || {
                daemon.reload();
                wait_until("it is read", PATIENCE, is_there);
            });
        });
        let got = scales(&daemon.client(), &name).await.unwrap();
        // 1 · 3 or 1 + 10; 1 + 3 and 1 · 10 are of neither.
        assert!([3.0, 11.0].contains(&got), "{name}: {got}");
        nnctl(&daemon, &["unload", &name]).success();
    }
}
