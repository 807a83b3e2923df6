//! The host of both in-process and isolated guests: wasmtime and WASI, with wasi-nn left to whoever calls. Compiled into
//! `nn-bench` and, by path, into `inproc`, so that what is compared differs in nothing but wasi-nn.
//!
//! A guest is a command of WASI: a component (preview 2) or a core module (preview 1), binary or text.

use std::path::{Path, PathBuf};

use wasmtime::component::{Component, Linker as ComponentLinker, ResourceTable};
use wasmtime::error::Context as _;
use wasmtime::{Config, Engine, Linker, Module, Result, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// The first bytes of a core module; a component's version differs.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// What one call of a guest may carry; more than the largest tensor.
const HOSTCALL_FUEL: usize = 512 << 20;

/// A guest and what it may see.
#[derive(Debug)]
pub(crate) struct Guest {
    bytes: Vec<u8>,
    args: Vec<String>,
    dirs: Vec<(PathBuf, String)>,
}

/// How a guest ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exit(i32),
    Trap(String),
}

/// What the store of a component holds.
pub(crate) struct ComponentState<N> {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) nn: N,
}

/// What the store of a core module holds.
pub(crate) struct CoreState<N> {
    wasi: WasiP1Ctx,
    pub(crate) nn: N,
}

impl<N: Send> WasiView for ComponentState<N> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// One engine for a guest. Guests call one function at a time; the support for more costs every call.
fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config.concurrency_support(false);
    Engine::new(&config)
}

/// Waits on one thread: the least that every way needs, and the same for all.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

// === impl Guest ===

impl Guest {
    /// Reads a guest. `args`: what it gets after its own name; `dirs`: `HOST[::GUEST]`.
    pub(crate) fn read(path: &Path, args: &[String], dirs: &[String]) -> Result<Self> {
        let what = || format!("{} is no guest", path.display());
        let bytes = std::fs::read(path).with_context(what)?;
        let bytes = wat::parse_bytes(&bytes).with_context(what)?.into_owned();
        let name = path.display().to_string();
        let pair = |dir: &String| {
            let (host, guest) = dir.split_once("::").unwrap_or((dir, dir));
            (PathBuf::from(host), guest.to_owned())
        };
        Ok(Self {
            bytes,
            args: [&[name], args].concat(),
            dirs: dirs.iter().map(pair).collect(),
        })
    }

    /// Whether it is a core module, which speaks the older interface.
    pub(crate) fn is_core(&self) -> bool {
        self.bytes.starts_with(CORE_MODULE)
    }

    fn wasi(&self) -> Result<WasiCtxBuilder> {
        let mut builder = WasiCtxBuilder::new();
        builder.inherit_stdio();
        builder.args(&self.args);
        for (host, guest) in &self.dirs {
            builder.preopened_dir(host, guest, FsPerms::ReadWrite)?;
        }
        Ok(builder)
    }

    /// Runs a component to its end.
    pub(crate) async fn run_component<N: Send + 'static>(
        &self,
        nn: N,
        link: impl FnOnce(&mut ComponentLinker<ComponentState<N>>) -> Result<()>,
    ) -> Result<Ended> {
        let engine = engine()?;
        let component = Component::new(&engine, &self.bytes)?;
        let mut linker = ComponentLinker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        link(&mut linker)?;
        let state = ComponentState {
            wasi: self.wasi()?.build(),
            table: ResourceTable::new(),
            nn,
        };
        let mut store = Store::new(&engine, state);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        let command = Command::instantiate_async(&mut store, &component, &linker).await?;
        let ran = command.wasi_cli_run().call_run(&mut store).await;
        Ok(ended(ran.map(|result| i32::from(result.is_err()))))
    }

    /// Runs a core module to its end.
    pub(crate) async fn run_core<N: Send + 'static>(
        &self,
        nn: N,
        link: impl FnOnce(&mut Linker<CoreState<N>>) -> Result<()>,
    ) -> Result<Ended> {
        let engine = engine()?;
        let module = Module::new(&engine, &self.bytes)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut linker, |state: &mut CoreState<N>| {
            &mut state.wasi
        })?;
        link(&mut linker)?;
        let state = CoreState {
            wasi: self.wasi()?.build_p1(),
            nn,
        };
        let mut store = Store::new(&engine, state);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        let instance = linker.instantiate_async(&mut store, &module).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        Ok(ended(start.call_async(&mut store, ()).await.map(|()| 0)))
    }
}

fn ended(ran: Result<i32>) -> Ended {
    match ran {
        Ok(code) => Ended::Exit(code),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) => Ended::Exit(*code),
            None => Ended::Trap(error.root_cause().to_string()),
        },
    }
}
