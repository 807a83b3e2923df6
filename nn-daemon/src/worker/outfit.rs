//! What workers are made of, as the spawner is told before it and the daemon are jailed. It copies the library and holds on
//! to all of it: what takes this process over later has no say in it any more (ADR 18).

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use nn_sandbox::Plan;
use nn_tensor::{Code, Fault};
use nn_worker_wire as wire;

use crate::config::{Config, Library};

/// The framework's library, open, and where it lies.
#[derive(Debug)]
pub(crate) struct OpenLibrary {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

// === impl OpenLibrary ===

impl OpenLibrary {
    /// Opens it. Without one the daemon serves, and says this to whoever wants to load a model.
    pub(crate) fn open(library: &Library) -> Result<Self, Fault> {
        let unsupported =
            |message: &str, hint: &str| Fault::new(Code::UnsupportedOperation, message).hint(hint);
        let Library::At(path) = library else {
            return Err(unsupported(
                "the daemon has found no ONNX Runtime",
                "set NN_RUNTIMES or runtimes.onnxruntime; `nnctl status` shows where it looked",
            ));
        };
        let open = || -> io::Result<Self> {
            let path = fs::canonicalize(path)?;
            let file = File::open(&path)?;
            Ok(Self { path, file })
        };
        open().map_err(|error| {
            tracing::error!("cannot read {}: {error}", path.display());
            unsupported(
                "the daemon cannot read ONNX Runtime's library",
                "the daemon's log has the reason; start it again when that is mended",
            )
        })
    }
}

/// What every worker gets.
pub(crate) fn workers(config: &Config, plan: &Plan, library: &OpenLibrary) -> wire::Workers {
    let limits = &config.limits;
    let model_bytes_max = limits.model_bytes_max.max(limits.guest_model_bytes_max);
    let layers = plan.active().into_iter();
    wire::Workers {
        backend: "onnxruntime".into(),
        library: library.path.to_string_lossy().into_owned(),
        threads_max: plan.profile.threads_max,
        profile: plan.profile.name.into(),
        layers: layers.map(|layer| layer.name().into()).collect(),
        data_bytes_max: limits.worker_budget(model_bytes_max),
        filter: plan.profile.filter.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_cannot_be_opened_is_told_without_its_path() {
        let library = Library::At("/nowhere/libonnxruntime.so.1.28.0".into());
        let fault = OpenLibrary::open(&library).unwrap_err();
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
        let open = OpenLibrary::open(&Library::At(link)).unwrap();
        assert_eq!(open.path, real);
    }
}
