//! What workers are made of, as the spawner is told before it and the daemon are jailed. It copies the library and holds on
//! to all of it: what takes this process over later has no say in it any more (ADR 18).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nn_sandbox::Plan;
use nn_tensor::{Fault, Reason};
use nn_worker_wire as wire;

use super::spawn::{SpawnError, Spawner};
use crate::config::{Config, Library};
use crate::framework::{Framework, Frameworks, Role, is_named};

/// A framework's libraries, open, and where the first of them lies.
#[derive(Debug)]
pub(crate) struct OpenLibrary {
    framework: Framework,
    pub(crate) path: PathBuf,
    /// The names of the others, which lie beside it.
    beside: Vec<String>,
    /// All, the first first.
    pub(crate) files: Vec<File>,
}

// === impl OpenLibrary ===

impl OpenLibrary {
    /// Opens them. Without one the daemon serves, and says this to whoever wants to load a model for it.
    pub(crate) fn open(framework: Framework, library: &Library) -> Result<Self, Fault> {
        let unsupported = |message: String, hint: String| {
            Fault::of(Reason::FrameworkMissing)
                .message(message)
                .hint(hint)
        };
        let (title, name) = (framework.title(), framework.name());
        let Library::At(path) = library else {
            return Err(unsupported(
                format!("the daemon has found no {title}"),
                format!("set NN_RUNTIMES or runtimes.{name}; `nnctl status` shows where it looked"),
            ));
        };
        Self::read(framework, path).map_err(|error| {
            tracing::error!("cannot read {title} at {}: {error}", path.display());
            unsupported(
                format!("the daemon cannot read {title}'s library"),
                "the daemon's log has the reason; start it again when that is mended".to_owned(),
            )
        })
    }

    fn read(framework: Framework, path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let mut files = vec![File::open(&path)?];
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut beside = Vec::new();
        for stem in framework.beside() {
            let found = newest(folder, stem)?;
            files.push(File::open(folder.join(&found))?);
            beside.push(found);
        }
        Ok(Self {
            framework,
            path,
            beside,
            files,
        })
    }
}

/// The last name in a directory that is a stem, or a stem and a version.
fn newest(folder: &Path, stem: &str) -> io::Result<String> {
    let entries = fs::read_dir(folder)?.filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let named = names.filter(|name| is_named(Path::new(name), stem));
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no {stem} beside it"));
    named.max().ok_or_else(missing)
}

/// Tells the spawner of every framework that there is; which those are.
pub(crate) async fn make(
    config: &Config,
    plan: &Plan,
    spawner: &Spawner,
) -> Result<Frameworks, SpawnError> {
    let mut all = Vec::new();
    for framework in Framework::ALL {
        let is = match OpenLibrary::open(framework, config.library(framework)) {
            Ok(library) => {
                let files: Vec<BorrowedFd<'_>> = library.files.iter().map(AsFd::as_fd).collect();
                for role in Role::ALL {
                    let workers = workers(config, plan, (&library, role));
                    spawner.make_of(workers, &files).await?;
                }
                Ok(())
            }
            Err(fault) => Err(fault),
        };
        all.push((framework, is));
    }
    let is = match &config.remote {
        Some(remote) => {
            spawner.take_relay(&remote.relay).await?;
            spawner.make_of(relays(config, plan), &[]).await?;
            Ok(())
        }
        None => Err(Fault::of(Reason::PlacementOff).expected("an endpoint in [remote] endpoints")),
    };
    all.push((Framework::KServe, is));
    Ok(Frameworks(all))
}

/// What every relay gets: no library, and a profile of its own.
fn relays(config: &Config, plan: &Plan) -> wire::Workers {
    let framework = Framework::KServe;
    let layers = plan.active().into_iter();
    let profile = framework.profile().unwrap_or(plan.profile);
    wire::Workers {
        backend: framework.backend(Role::Serves),
        library: String::new(),
        beside: Vec::new(),
        threads_max: profile.threads_max,
        profile: profile.name.into(),
        layers: layers.map(|layer| layer.name().into()).collect(),
        data_bytes_max: config.limits.worker_budget_max(),
        filter: profile.filter.to_vec(),
    }
}

/// What every worker of a framework gets. The layers of all their profiles are the same.
fn workers(config: &Config, plan: &Plan, (library, role): (&OpenLibrary, Role)) -> wire::Workers {
    let layers = plan.active().into_iter();
    let profile = library.framework.profile_of(role).unwrap_or(plan.profile);
    wire::Workers {
        backend: library.framework.backend(role),
        library: library.path.to_string_lossy().into_owned(),
        beside: library.beside.clone(),
        threads_max: profile.threads_max,
        profile: profile.name.into(),
        layers: layers.map(|layer| layer.name().into()).collect(),
        data_bytes_max: config.limits.worker_budget_max(),
        filter: profile.filter.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;

    #[test]
    fn a_library_that_cannot_be_opened_is_told_without_its_path() {
        let library = Library::At("/nowhere/libonnxruntime.so.1.28.0".into());
        let fault = OpenLibrary::open(Framework::OnnxRuntime, &library).unwrap_err();
        assert_eq!(fault.code, Code::UnsupportedOperation);
        assert!(!fault.to_string().contains("nowhere"), "{fault}");
    }

    #[test]
    fn a_library_is_known_by_where_it_really_lies() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap().join("lib.so.1");
        fs::write(&real, "x").unwrap();
        let link = folder.path().join("lib.so");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let open = OpenLibrary::open(Framework::OnnxRuntime, &Library::At(link)).unwrap();
        assert_eq!(open.path, real);
    }

    #[test]
    fn a_framework_of_several_libraries_without_one_of_them_is_told_as_missing() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("libopenvino_c.so.2641");
        fs::write(&first, "x").unwrap();
        let fault =
            OpenLibrary::open(Framework::OpenVino, &Library::At(first.clone())).unwrap_err();
        assert_eq!(fault.code, Code::UnsupportedOperation);
        for stem in Framework::OpenVino.beside() {
            fs::write(folder.path().join(format!("{stem}.1")), "x").unwrap();
        }
        let open = OpenLibrary::open(Framework::OpenVino, &Library::At(first)).unwrap();
        assert_eq!(open.files.len(), Framework::OpenVino.beside().len() + 1);
        assert_eq!(open.beside[0], "libopenvino.so.1");
    }
}
