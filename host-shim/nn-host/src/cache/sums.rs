//! The digests of a guest's machine code, as it was written. A disk may forget, a crash may tear a write,
//! and code that has changed is executed all the same: what is not as it was is removed before use.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// How deep below the guest's directory files lie, at most.
const DEPTH_MAX: u32 = 4;

/// Digest by the file's path below the guest's directory.
type Known = BTreeMap<PathBuf, String>;

/// What is known, and where that is written: a line for each file, digest and path.
#[derive(Debug)]
pub(super) struct Sums {
    file: PathBuf,
    known: Known,
}

/// In lower case.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// wasmtime's own notes beside the code; they are text and are read as text.
fn is_code(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with('.') && !name.ends_with(".stats")
}

/// Whether wasmtime still writes it, under a name that it gives up for the real one; a thread of its own does so for
/// its notes, at any time.
fn is_unfinished(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    extension.starts_with("wip-")
}

/// Removes what may have gone by itself.
fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The paths of all machine code, below `dir`.
pub(super) fn code(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(dir.to_path_buf(), DEPTH_MAX)];
    while let Some((below, depth)) = open.pop() {
        for entry in fs::read_dir(below)? {
            let path = entry?.path();
            if path.is_dir() && depth > 0 {
                open.push((path, depth.saturating_sub(1)));
            } else if let (true, Ok(name)) = (is_code(&path), path.strip_prefix(dir)) {
                found.push(name.to_path_buf());
            }
        }
    }
    Ok(found)
}

fn read(file: &Path) -> Known {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    lines
        .map(|(digest, path)| (PathBuf::from(path), digest.to_owned()))
        .collect()
}

// === impl Sums ===

impl Sums {
    /// Reads what is known of `dir`, and removes from it what is not as it is known.
    pub(super) fn verified(file: PathBuf, dir: &Path) -> io::Result<Self> {
        let mut known = read(&file);
        let mut good = Known::new();
        for path in code(dir)? {
            let own = dir.join(&path);
            match (known.remove(&path), digest(&own)) {
                (Some(sum), Ok(now)) if sum == now => drop(good.insert(path, sum)),
                (Some(_), _) => {
                    tracing::warn!(path = %own.display(), "kept machine code was damaged; the guest is compiled anew");
                    remove(&own)?;
                }
                // Another nn-host is at work, or one was interrupted.
                (None, _) => remove(&own)?,
            }
        }
        Ok(Self { file, known: good })
    }

    /// Notes what has come, and that the guest was used; says whether anything has.
    pub(super) fn seal(self, dir: &Path) -> io::Result<bool> {
        let mut now = code(dir)?;
        now.retain(|path| !is_unfinished(path));
        if !now.is_empty() && now.iter().all(|path| self.known.contains_key(path)) {
            File::options()
                .append(true)
                .open(&self.file)?
                .set_modified(SystemTime::now())?;
            return Ok(false);
        }
        let parent = self.file.parent().unwrap_or(Path::new("/"));
        let mut written = tempfile::NamedTempFile::new_in(parent)?;
        for path in now {
            let sum = match self.known.get(&path) {
                Some(sum) => sum.clone(),
                None => digest(&dir.join(&path))?,
            };
            writeln!(written, "{sum}  {}", path.display())?;
        }
        written.as_file().sync_all()?;
        written.persist(&self.file)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        root: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("guest/modules")).unwrap();
            Self { root }
        }

        fn dir(&self) -> PathBuf {
            self.root.path().join("guest")
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            fs::write(self.dir().join("modules").join(name), bytes).unwrap();
        }

        fn verified(&self) -> Sums {
            Sums::verified(self.root.path().join("guest.sums"), &self.dir()).unwrap()
        }

        fn kept(&self) -> usize {
            code(&self.dir()).unwrap().len()
        }
    }

    #[test]
    fn what_was_sealed_and_has_not_changed_stays() {
        let scene = Scene::new();
        let sums = scene.verified();
        scene.write("code", b"code");
        scene.write("code.stats", b"used once");
        assert!(sums.seal(&scene.dir()).unwrap());
        scene.write("code.stats", b"used twice");
        assert!(!scene.verified().seal(&scene.dir()).unwrap());
        assert_eq!(scene.kept(), 1);
    }

    #[test]
    fn one_changed_byte_and_what_was_never_sealed_are_dropped() {
        let scene = Scene::new();
        let sums = scene.verified();
        scene.write("code", b"code");
        assert!(sums.seal(&scene.dir()).unwrap());
        scene.write("code", b"code!");
        scene.write("unknown", b"code");
        let sums = scene.verified();
        assert_eq!(scene.kept(), 0);
        scene.write("code", b"code");
        assert!(sums.seal(&scene.dir()).unwrap());
        assert_eq!(scene.verified().known.len(), 1);
    }

    #[test]
    fn what_is_still_being_written_is_not_sealed() {
        let scene = Scene::new();
        let sums = scene.verified();
        scene.write("code", b"code");
        scene.write("code.wip-atomic-write-stats", b"used");
        assert!(sums.seal(&scene.dir()).unwrap());
        let known = read(&scene.root.path().join("guest.sums"));
        assert_eq!(
            known.into_keys().collect::<Vec<_>>(),
            [Path::new("modules/code")]
        );
    }

    #[test]
    fn sums_that_cannot_be_read_know_nothing() {
        let scene = Scene::new();
        scene.write("code", b"code");
        fs::write(scene.root.path().join("guest.sums"), [0xff; 100]).unwrap();
        assert_eq!(scene.verified().known.len(), 0);
        assert_eq!(scene.kept(), 0);
    }
}
