//! Files that change while somebody reads them: what is served is the old one or the new one whole.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nn_onnx_writer::{FLOAT, graph, model, node, tensor, value};
use nn_tests::{Daemon, nnctl, require_backends, soak_rounds, wait_until};

use super::faults::stored;
use super::{Files, SOON, adds, load, meant};

/// Between the two numbers of a model, which are far apart in its file.
const PADDING_FLOATS: usize = 2 << 20;

/// A model that adds a number twice, once from the begin of its file and once from its end: of a mix of two one can tell.
pub(super) fn adds_twice(number: u16) -> Vec<u8> {
    let one = value::fixed(&[1]);
    let floats =
        |name, count| graph::initializer(&tensor::floats(name, &vec![f32::from(number); count]));
    let content = [
        floats("first", 1),
        graph::name("adds"),
        graph::node(&node::of(&["x", "first"], &["more"], "Add")),
        graph::node(&node::of(&["more", "last"], &["y"], "Add")),
        graph::input(&value::of("x", FLOAT, Some(&one))),
        graph::output(&value::of("y", FLOAT, Some(&one))),
        floats("padding", PADDING_FLOATS),
        floats("last", 1),
    ];
    model::of(&content.concat(), 17)
}

/// What is done to a model's file, again and again, while somebody reads it: it is the old one, or the new one, or of
/// neither.
#[derive(Clone, Copy, Debug)]
enum Swap {
    Renamed,
    Rewritten,
    Truncated,
    Link,
}

const SWAPS: [Swap; 4] = [Swap::Renamed, Swap::Rewritten, Swap::Truncated, Swap::Link];

/// Has a file be one of two others.
fn swap(how: Swap, path: &Path, content: &Path) {
    let beside = path.with_extension("beside");
    match how {
        Swap::Renamed => {
            std::fs::copy(content, &beside).unwrap();
            std::fs::rename(&beside, path).unwrap();
        }
        Swap::Rewritten => {
            let bytes = std::fs::read(content).unwrap();
            let mut file = std::fs::File::options().write(true).open(path).unwrap();
            std::io::Write::write_all(&mut file, &bytes).unwrap();
        }
        Swap::Truncated => {
            std::fs::copy(content, path).unwrap();
        }
        Swap::Link => {
            symlink(content, &beside).unwrap();
            std::fs::rename(&beside, path).unwrap();
        }
    }
}

/// Swaps a file until it is told to stop.
fn swapping<T>(how: Swap, path: &Path, contents: [&Path; 2], work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for content in contents {
                    swap(how, path, content);
                }
            }
        });
        let done = work();
        stop.store(true, Ordering::Relaxed);
        done
    })
}

/// The two models, and a place for either.
struct Twins {
    files: Files,
    old: std::path::PathBuf,
    new: std::path::PathBuf,
}

impl Twins {
    fn new() -> Self {
        let files = Files::new();
        let (old, new) = (
            files.write("old.onnx", adds_twice(1)),
            files.write("new.onnx", adds_twice(100)),
        );
        Self { files, old, new }
    }

    fn contents(&self) -> [&Path; 2] {
        [&self.old, &self.new]
    }
}

const WHOLE: [f32; 2] = [2.0, 200.0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_swapped_while_nnctl_sends_it_is_taken_whole_or_refused() {
    require_backends!();
    let (daemon, twins) = (Daemon::start(), Twins::new());
    let (mut taken, mut refused) = (0, 0);
    for how in SWAPS {
        let path = twins.files.path().join(format!("{how:?}.onnx"));
        std::fs::copy(&twins.old, &path).unwrap();
        for _ in 0..soak_rounds(3) {
            let ended = tokio::task::block_in_place(|| {
                swapping(how, &path, twins.contents(), || {
                    load(&daemon, "foo", &path, &[])
                })
            });
            if ended.code == Some(0) {
                taken += 1;
                let now = meant(&daemon.client(), "foo").await.unwrap();
                assert!(WHOLE.contains(&now), "{how:?}: {now}");
            } else {
                refused += 1;
                // Changed, shorter, empty, or cut off from begin to end: which, is a matter of moments.
                let is_told =
                    ended.stderr.starts_with("error: ") && ended.stderr.contains("hint: ");
                assert!(is_told, "{how:?}: {}", ended.stderr);
            }
        }
        // Perhaps nothing was taken.
        let _ = nnctl(&daemon, &["unload", "foo"]);
        assert_eq!(stored(&daemon), (0, 0), "{how:?}");
    }
    println!("{taken} taken whole, {refused} refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repositorys_file_swapped_while_it_is_read_is_taken_whole_or_at_the_next_reading() {
    require_backends!();
    let twins = Twins::new();
    let repository = twins.files.path().join("repo");
    // As anywhere else a link leads no further than the repository.
    let within = repository.join(".contents");
    std::fs::create_dir_all(&within).unwrap();
    let contents = [within.join("old"), within.join("new")];
    std::fs::rename(&twins.old, &contents[0]).unwrap();
    std::fs::rename(&twins.new, &contents[1]).unwrap();
    let contents = [contents[0].as_path(), contents[1].as_path()];
    let daemon = Daemon::builder().with_repository(&repository).start();
    let mut late = 0;
    for (how, round) in SWAPS
        .into_iter()
        .flat_map(|how| (0..soak_rounds(2)).map(move |round| (how, round)))
    {
        let name = format!("{how:?}-{round:04}").to_lowercase();
        let dir = repository.join(&name).join("1");
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("model.onnx");
        std::fs::copy(contents[0], &path).unwrap();
        let is_there = || is_there(&daemon, &name);
        tokio::task::block_in_place(|| {
            swapping(how, &path, contents, || {
                daemon.reload();
                let read = || is_there() || left_out(&daemon, &name);
                wait_until("it is read", SOON, read);
            });
            if !is_there() {
                late += 1;
                daemon.reload();
                wait_until("it is read again", SOON, is_there);
            }
        });
        let now = meant(&daemon.client(), &name).await.unwrap();
        assert!(WHOLE.contains(&now), "{name}: {now}");
        nnctl(&daemon, &["unload", &name]).success();
    }
    println!("{late} at the next reading");
}

/// Whether the name means something: what a repository has got does so once it answers.
fn is_there(daemon: &Daemon, name: &str) -> bool {
    nnctl(daemon, &["describe", name]).code == Some(0)
}

/// Whether the log says so of a model.
fn left_out(daemon: &Daemon, name: &str) -> bool {
    let log = daemon.log();
    let mut lines = log.lines().filter(|line| line.contains("left out"));
    lines.any(|line| line.contains(name))
}

/// A version's directory is another from one moment to the next: its model and what is said of it are of the same one.
#[test]
fn a_version_whose_directory_is_swapped_is_read_with_what_is_said_of_it() {
    require_backends!();
    let files = Files::new();
    for number in 1..=2 {
        let dir = format!("repo/.store/{number}");
        files.write(&format!("{dir}/model.onnx"), adds(number));
        files.write(
            &format!("{dir}/model.toml"),
            format!("description = \"{number}\"\n"),
        );
    }
    let repository = files.path().join("repo");
    let store = repository.join(".store");
    let daemon = Daemon::builder().with_repository(&repository).start();
    for round in 0..soak_rounds(5) {
        let name = format!("m{round:04}");
        let link = repository.join(&name).join("1");
        std::fs::create_dir_all(repository.join(&name)).unwrap();
        symlink(store.join("1"), &link).unwrap();
        let contents = [store.join("1"), store.join("2")];
        swapping(Swap::Link, &link, [&contents[0], &contents[1]], || {
            daemon.reload();
            let read = || left_out(&daemon, &name) || is_there(&daemon, &name);
            wait_until("it is read", SOON, read);
        });
        if !is_there(&daemon, &name) {
            daemon.reload();
            wait_until("it is read again", SOON, || is_there(&daemon, &name));
        }
        let described = daemon.json(&["describe", &name]);
        let said = described["card"]["description"].as_str().unwrap();
        let sha256 = described["model"]["sha256"].as_str().unwrap();
        let number = said.parse().unwrap();
        assert_eq!(sha256, sha256_of(&adds(number)), "{described}");
    }
}

pub(super) fn sha256_of(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
