//! `cargo xtask example`: the example application of guests/example, with a daemon of its own, until Ctrl-C.
//!
//! It puts a model repository of the two models into target/nn/example, and then is `nn-host serve`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::output::talk;
use crate::workspace::Workspace;
use crate::{process, setup};

const PACKAGES: [&str; 4] = ["nn-daemon", "nn-spawner", "nn-worker", "nn-host"];

/// What the site's routes list, and which model of `setup`'s each is.
const MODELS: [(&str, &str); 2] = [
    ("picture-labels", "efficientnet-lite0"),
    ("minilm-l6-int8", "minilm-l6-int8"),
];

/// What is said of the first: the file in models/labels, and its name in a repository.
const SAID: [(&str, &str); 2] = [
    ("efficientnet-lite0.toml", "model.toml"),
    ("imagenet-1k.txt", "imagenet-1k.txt"),
];

/// How to run it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// With release builds
    #[arg(long)]
    release: bool,
}

/// Runs it; does not return unless something is wrong.
///
/// # Errors
/// When setup or the build fails, or the host cannot be started.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::run(workspace)?;
    process::run(build(options.release).current_dir(workspace.root()))?;
    let repository = workspace.nn().join("example");
    fill(
        &repository,
        &workspace.nn().join("models"),
        &workspace.models(),
    )
    .with_context(|| format!("{} cannot be filled", repository.display()))?;

    talk(&format!(
        "example: http://{} once it says that it serves; Ctrl-C ends it",
        options.listen
    ));
    let mut host = process::command(workspace.program("nn-host", options.release));
    host.args(["serve", "--spawn-daemon", "--model-repository"])
        .arg(repository)
        .arg("--config")
        .arg(workspace.root().join("guests/example/site.toml"))
        .arg("--listen")
        .arg(options.listen.to_string());
    Err(process::become_it(&mut host))
}

fn build(release: bool) -> std::process::Command {
    let mut build = process::cargo();
    build.arg("build");
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    if release {
        build.arg("--release");
    }
    build
}

/// Makes a repository of the models, anew: a name that changed leaves nothing.
fn fill(repository: &Path, models: &Path, said: &Path) -> Result<()> {
    if repository.is_dir() {
        fs::remove_dir_all(repository)?;
    }
    for (name, from) in MODELS {
        let folder = repository.join(name).join("1");
        fs::create_dir_all(&folder)?;
        let model = models.join(from).join("1/model.onnx");
        // A daemon follows no link out of its repository; a second name is none.
        let place = folder.join("model.onnx");
        fs::hard_link(&model, &place)
            .or_else(|_other_disk| fs::copy(&model, &place).map(|_| ()))?;
    }
    for (file, name) in SAID {
        let place = repository.join(MODELS[0].0).join(name);
        fs::copy(said.join("labels").join(file), place)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Scratch;

    #[test]
    fn a_repository_is_filled_twice_alike_and_holds_what_the_site_lists() {
        let scratch = Scratch::new(&std::env::temp_dir()).unwrap();
        let models = scratch.path().join("models");
        for (_, from) in MODELS {
            let folder = models.join(from).join("1");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("model.onnx"), from).unwrap();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let repository = scratch.path().join("example");

        fill(&repository, &models, &root.join("models")).unwrap();
        fs::write(repository.join("left"), "").unwrap();
        fill(&repository, &models, &root.join("models")).unwrap();

        let site = fs::read_to_string(root.join("guests/example/site.toml")).unwrap();
        let listed =
            MODELS.map(|(name, _)| site.matches(&format!("models = [\"{name}\"]")).count());
        assert_eq!(listed, [2, 2]);
        assert!(!repository.join("left").exists());
        let model = fs::read_to_string(repository.join("picture-labels/1/model.onnx"));
        assert_eq!(model.unwrap(), "efficientnet-lite0");
        assert!(repository.join("picture-labels/model.toml").is_file());
    }
}
