//! A guest's file: what it is, and its machine code.

use std::path::{Path, PathBuf};

use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::cache::{self, GuestCache};
use crate::cli::CacheArgs;
use crate::engine::engine;
use crate::exit::{CausedBy, Failure};

/// The first bytes of a core module; a component's version differs.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A guest, compiled.
pub(crate) enum Guest {
    /// A component: wasi:cli, and wasi-nn by WIT.
    Component(Component),
    /// A core module: WASI preview 1, and wasi-nn by witx.
    Core(Module),
}

/// Where guests' machine code is kept.
#[derive(Clone, Debug)]
pub(crate) enum Keep {
    /// Nowhere.
    No,
    /// In the user's cache directory, if that can be used.
    Default,
    /// Here, or the run fails.
    In(PathBuf),
}

/// The file as WebAssembly binary: text becomes binary, binary stays.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = std::fs::read(path).map_err(|source| Failure::Guest {
        path: path.to_path_buf(),
        source,
    })?;
    let binary = wat::parse_bytes(&bytes).map_err(|source| Failure::NotWasm {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(binary.into_owned())
}

/// Compiles, or takes the machine code that was kept of it; gives the engine that it is for. Off the
/// executor: it takes long, and Ctrl-C must work meanwhile.
///
/// With room for so many instances at a time, the engine keeps that room, and an instance costs no mapping of memory.
pub(crate) async fn compile(
    bytes: Vec<u8>,
    keep: Keep,
    instances_max: Option<usize>,
) -> Result<(Engine, Guest), Failure> {
    let compiling = move || {
        let kept = keep.open(&bytes)?;
        let cache = kept.as_ref().map(GuestCache::cache).transpose()?;
        let unfit = |error| Failure::Unfit(CausedBy(error));
        let engine = engine(cache, instances_max).map_err(unfit)?;
        let guest = if bytes.starts_with(CORE_MODULE) {
            Module::from_binary(&engine, &bytes).map(Guest::Core)
        } else {
            Component::from_binary(&engine, &bytes).map(Guest::Component)
        };
        let guest = guest.map_err(unfit)?;
        if let Some(kept) = kept {
            kept.seal();
        }
        Ok((engine, guest))
    };
    let compiled = tokio::task::spawn_blocking(compiling).await;
    compiled.unwrap_or_else(|error| Err(Failure::Unfit(CausedBy(wasmtime::Error::new(error)))))
}

// === impl Keep ===

impl From<CacheArgs> for Keep {
    fn from(args: CacheArgs) -> Self {
        match (args.no_cache, args.cache_dir) {
            (true, _) => Self::No,
            (false, None) => Self::Default,
            (false, Some(dir)) => Self::In(dir),
        }
    }
}

impl Keep {
    /// What is kept of a guest; `None` where nothing is.
    fn open(&self, wasm: &[u8]) -> Result<Option<GuestCache>, Failure> {
        match self {
            Self::No => Ok(None),
            Self::In(dir) => {
                let dir = std::path::absolute(dir).unwrap_or_default();
                Ok(Some(GuestCache::open(&dir, wasm)?))
            }
            Self::Default => {
                let Some(dir) = cache::default_directory() else {
                    return Ok(None);
                };
                // Slower, not wrong: who did not ask for a cache is not stopped by it.
                let opened = GuestCache::open(&dir, wasm);
                Ok(opened
                    .inspect_err(|error| tracing::warn!("guests are compiled anew: {error}"))
                    .ok())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn compiled(text: &str) -> Result<Guest, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let bytes = read(file.path())?;
        Ok(compile(bytes, Keep::No, None).await?.1)
    }

    #[tokio::test]
    async fn text_is_a_module_or_a_component_as_it_says() {
        assert!(matches!(compiled("(module)").await, Ok(Guest::Core(_))));
        let component = compiled("(component)").await;
        assert!(matches!(component, Ok(Guest::Component(_))));
    }

    #[tokio::test]
    async fn a_file_of_other_text_is_refused_for_what_it_is() {
        assert!(matches!(
            compiled("hello").await,
            Err(Failure::NotWasm { .. })
        ));
    }

    #[tokio::test]
    async fn a_module_that_is_none_cannot_be_run() {
        let bytes = [CORE_MODULE, b"junk"].concat();
        let compiled = compile(bytes, Keep::No, None).await;
        assert!(matches!(compiled, Err(Failure::Unfit(_))));
    }
}
