//! A component, compiled and linked: what every instance of it is made from. It has an engine of its own, whose pool has
//! room for as many instances as the process works on at a time, so that a fresh instance for each request costs no
//! mapping of memory.

use std::path::Path;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::p2;
use wasmtime_wasi_http::p2 as http_p2;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::engine::MEMORIES_MAX;
use crate::exit::{CausedBy, Failure};
use crate::guest::{self, Guest, Keep};
use crate::serve::error::ServeError;
use crate::serve::outgoing;
use crate::state::State;

/// A component that answers HTTP.
pub(super) struct Program {
    pub(super) pre: ProxyPre<State>,
    digest: [u8; 32],
    instances_max: usize,
}

/// A component's file, read.
pub(super) struct Source<'a> {
    path: &'a Path,
    bytes: Vec<u8>,
    digest: [u8; 32],
}

// === impl Source ===

impl<'a> Source<'a> {
    pub(super) fn read(path: &'a Path) -> Result<Self, Failure> {
        let bytes = guest::read(path)?;
        let digest = Sha256::digest(&bytes).into();
        Ok(Self {
            path,
            bytes,
            digest,
        })
    }
}

// === impl Program ===

impl Program {
    /// Whether it is what would be made of that, too.
    pub(super) fn is_of(&self, source: &Source<'_>, instances_max: usize) -> bool {
        self.digest == source.digest && self.instances_max == instances_max
    }

    /// Compiles it, or takes the machine code that was kept of it.
    pub(super) async fn make(
        source: Source<'_>,
        keep: Keep,
        instances_max: usize,
    ) -> Result<Self, Failure> {
        let Source {
            path,
            bytes,
            digest,
        } = source;
        let unfit = |source| ServeError::Unfit {
            path: path.to_path_buf(),
            source,
        };
        let compiled = guest::compile(bytes, keep, Some(instances_max)).await;
        let (engine, guest) = compiled.map_err(|failure| match failure {
            Failure::Unfit(source) => unfit(source).into(),
            other => other,
        })?;
        let Guest::Component(component) = guest else {
            return Err(ServeError::NotComponent(path.to_path_buf()).into());
        };
        check_memories(path, &component)?;
        let linked = |error| unfit(CausedBy(error));
        let mut linker = Linker::<State>::new(&engine);
        p2::add_to_linker_async(&mut linker).map_err(linked)?;
        http_p2::add_only_http_to_linker_async(&mut linker).map_err(linked)?;
        outgoing::bound(&mut linker).map_err(linked)?;
        nn_host_shim::add_to_linker(&mut linker).map_err(linked)?;
        let pre = linker.instantiate_pre(&component).map_err(linked)?;
        let pre = ProxyPre::new(pre).map_err(|error| ServeError::NotProxy {
            path: path.to_path_buf(),
            source: CausedBy(error),
        })?;
        Ok(Self {
            pre,
            digest,
            instances_max,
        })
    }
}

/// A component of many memories would find the pool empty sooner than the bound on requests says.
fn check_memories(path: &Path, component: &Component) -> Result<(), ServeError> {
    let memories = component
        .resources_required()
        .map_or(0, |all| all.num_memories);
    if memories <= MEMORIES_MAX {
        return Ok(());
    }
    Err(ServeError::Memories {
        path: path.to_path_buf(),
        got: memories,
        max: MEMORIES_MAX,
    })
}
