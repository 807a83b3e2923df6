//! A disk that can be filled: a small file system in memory, mounted for one test.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// One. It is unmounted when dropped: whoever uses it must have ended by then.
#[derive(Debug)]
pub struct Disk {
    dir: TempDir,
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the machine's own tools")]
    let mut command = Command::new(program);
    command.args(arguments).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Disk {
    /// A disk of so many KiB; `None`, with the reason printed, where none can be mounted.
    ///
    /// # Panics
    /// When there is no temporary directory.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "a test says why it is skipped")]
    pub fn of_kib(kib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().to_str().expect("a path in UTF-8");
        let size = format!("size={kib}k,mode=755");
        if succeeds("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", path]) {
            return Some(Self { dir });
        }
        println!("skipped: nothing can be mounted here");
        None
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Leaves no room on it.
    ///
    /// # Panics
    /// When writing fails for another reason than that.
    pub fn fill(&self) {
        let mut file = fs::File::create(self.ballast()).expect("a file on it");
        let filled = io::copy(&mut io::repeat(1), &mut file);
        let error = filled.expect_err("it has an end");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    }

    /// Leaves so many KiB of it after all.
    ///
    /// # Panics
    /// When it was not filled, or with less.
    pub fn leave_kib(&self, kib: u64) {
        let file = fs::File::options().write(true).open(self.ballast());
        let file = file.expect("what it was filled with");
        let len = file.metadata().expect("its length").len();
        file.set_len(len - kib * 1024).expect("a shorter file");
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When it was not filled.
    pub fn clear(&self) {
        fs::remove_file(self.ballast()).expect("what it was filled with");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let path = self.dir.path().to_str().unwrap_or_default();
        succeeds("umount", &["--lazy", path]);
    }
}
