//! A guest's file: what it is, and its machine code.

use std::path::Path;

use wasmtime::component::Component;
use wasmtime::{Engine, Module};

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

/// Compiles, or takes the machine code from the engine's cache. Off the executor: it takes long, and Ctrl-C
/// must work meanwhile.
pub(crate) async fn compile(engine: Engine, bytes: Vec<u8>) -> Result<Guest, Failure> {
    let compiling = move || {
        if bytes.starts_with(CORE_MODULE) {
            Module::from_binary(&engine, &bytes).map(Guest::Core)
        } else {
            Component::from_binary(&engine, &bytes).map(Guest::Component)
        }
    };
    let compiled = tokio::task::spawn_blocking(compiling).await;
    compiled
        .unwrap_or_else(|error| Err(wasmtime::Error::new(error)))
        .map_err(|error| Failure::Unfit(CausedBy(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn compiled(text: &str) -> Result<Guest, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let bytes = read(file.path())?;
        compile(Engine::default(), bytes).await
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
        let compiled = compile(Engine::default(), bytes).await;
        assert!(matches!(compiled, Err(Failure::Unfit(_))));
    }
}
