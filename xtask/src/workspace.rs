//! Where things are: the checkout, the build directory, the cache of downloads.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The folders that every task works in. All are absolute.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    cache: PathBuf,
}

// === impl Workspace ===

impl Workspace {
    /// Finds the folders from what cargo tells the task, and from the user's environment.
    ///
    /// # Errors
    /// When this is not run by cargo out of the checkout, or there is no home for the cache.
    pub(crate) fn find() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .context("the package of the tasks has no parent folder")?
            .to_path_buf();
        if !root.join("models").is_dir() {
            bail!(
                "{} is not the checkout: it has no models folder\nhint: run `cargo xtask` in the checkout",
                root.display()
            );
        }
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(given) => env::current_dir()?.join(given),
            None => root.join("target"),
        };
        let cache = cache(
            env::var_os("NN_CACHE").map(PathBuf::from),
            env::var_os("XDG_CACHE_HOME").map(PathBuf::from),
            env::var_os("HOME").map(PathBuf::from),
        )?;
        Ok(Self {
            root,
            target,
            cache,
        })
    }

    /// The checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Manifests, recipes and labels.
    pub(crate) fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// Where cargo builds.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Where cargo leaves what it builds with a profile of its own name.
    pub(crate) fn profile(&self, name: &str) -> PathBuf {
        self.target.join(name)
    }

    /// What `setup` makes: runtimes, models, data.
    pub(crate) fn nn(&self) -> PathBuf {
        self.target.join("nn")
    }

    /// Downloads, shared by all checkouts of this user.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// A program of this workspace, built by cargo with or without `--release`.
    pub(crate) fn program(&self, name: &str, release: bool) -> PathBuf {
        let profile = if release { "release" } else { "debug" };
        self.target.join(profile).join(name)
    }
}

/// The first of: what the user says, the user's cache folder, the usual place in the home folder.
fn cache(said: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(said) = said.filter(|path| !path.as_os_str().is_empty()) {
        return Ok(env::current_dir()?.join(said));
    }
    // The XDG base directory specification 0.8: a relative path is to be ignored.
    let folder = xdg
        .filter(|path| path.is_absolute())
        .or_else(|| home.map(|home| home.join(".cache")));
    match folder {
        Some(folder) => Ok(folder.join("nn-wheels")),
        None => bail!("no place for downloads: HOME is not set\nhint: set NN_CACHE to a folder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_prefers_what_the_user_says() {
        let found = cache(Some("/a".into()), Some("/b".into()), Some("/c".into())).unwrap();
        assert_eq!(found, Path::new("/a"));
    }

    #[test]
    fn relative_xdg_cache_is_ignored() {
        let found = cache(None, Some("b".into()), Some("/c".into())).unwrap();
        assert_eq!(found, Path::new("/c/.cache/nn-wheels"));
    }

    #[test]
    fn no_home_is_explained() {
        let error = cache(None, None, None).unwrap_err().to_string();
        assert!(error.contains("NN_CACHE"), "{error}");
    }
}
