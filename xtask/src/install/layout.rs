//! Where the parts of an installation lie. Pure. All paths are relative to the root of the machine.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};

use super::relative;

/// The folders of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    prefix: PathBuf,
    etc: PathBuf,
}

// === impl Layout ===

impl Layout {
    /// The folders below a prefix, by the Filesystem Hierarchy Standard 3.0: what belongs to /usr is configured in /etc.
    ///
    /// # Errors
    /// When it is not absolute, or has `..` in it: units name it.
    pub(crate) fn new(prefix: &Path) -> Result<Self> {
        if !prefix.is_absolute() || prefix.components().any(|c| c == Component::ParentDir) {
            bail!(
                "--prefix is {}\nhint: an absolute path without `..`, as in /usr/local",
                prefix.display()
            );
        }
        let prefix = relative(prefix);
        let etc = if prefix == Path::new("usr") {
            "etc".into()
        } else {
            prefix.join("etc")
        };
        Ok(Self { prefix, etc })
    }

    /// All but the configuration.
    pub(crate) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Configuration.
    pub(crate) fn etc(&self) -> &Path {
        &self.etc
    }

    /// What people and units start.
    pub(crate) fn bin(&self) -> PathBuf {
        self.prefix.join("bin")
    }

    /// What only the daemon starts and opens.
    pub(crate) fn private(&self) -> PathBuf {
        self.prefix.join("lib/nn-daemon")
    }

    /// What other programs look for in `lib`: systemd, systemd-sysusers, systemd-tmpfiles.
    pub(crate) fn lib(&self) -> PathBuf {
        self.prefix.join("lib")
    }

    /// What is for people to read, and for their shells.
    pub(crate) fn share(&self) -> PathBuf {
        self.prefix.join("share")
    }

    /// Where zsh looks: Debian's for packages below /usr, zsh's own elsewhere.
    pub(crate) fn zsh(&self) -> PathBuf {
        let folder = if self.prefix == Path::new("usr") {
            "zsh/vendor-completions"
        } else {
            "zsh/site-functions"
        };
        self.share().join(folder)
    }

    /// The list of what was installed.
    pub(crate) fn list(&self) -> PathBuf {
        self.share().join("nn-daemon/manifest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_usr_is_configured_in_etc() {
        let layout = Layout::new(Path::new("/usr/")).unwrap();
        assert_eq!(layout.etc(), Path::new("etc"));
        assert_eq!(layout.bin(), Path::new("usr/bin"));
    }

    #[test]
    fn what_lies_elsewhere_has_its_configuration_with_it() {
        let layout = Layout::new(Path::new("/opt/nn")).unwrap();
        assert_eq!(layout.etc(), Path::new("opt/nn/etc"));
        assert_eq!(layout.zsh(), Path::new("opt/nn/share/zsh/site-functions"));
    }

    #[test]
    fn a_prefix_that_units_could_not_name_is_refused() {
        let refused = ["usr", "/usr/../x", ""].map(|p| Layout::new(Path::new(p)).is_err());
        assert_eq!(refused, [true; 3]);
    }
}
