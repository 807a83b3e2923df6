//! Guests inside the test's own process: a small embedding of `nn-host-shim`, so that a test sees what
//! an embedder sees and can count on the client's counters. Components and core modules run alike.

use std::path::PathBuf;
use std::sync::Arc;

use nn_client::Client;
use nn_host_shim::witx::{self, Dialect, WitxCtx};
use nn_host_shim::{GuestLimits, WasiNnCtx, WasiNnCtxView, WasiNnView, add_to_linker};
use wasmtime::component::{Component, Linker as ComponentLinker, ResourceTable};
use wasmtime::{Config, Engine, Linker, Module, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::paths::guest_wasm;

/// The largest list that a guest may hand over, in bytes.
const HOSTCALL_FUEL: usize = 256 << 20;

/// What a guest may print, in bytes.
const STDOUT_MAX: usize = 1 << 20;

/// The first bytes of a core module.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// An engine and linkers that many guests share.
#[derive(Clone)]
pub struct GuestHost {
    engine: Engine,
    linker: Arc<ComponentLinker<State>>,
    core_linker: Arc<Linker<CoreState>>,
    client: Client,
    dialect: Dialect,
    limits: GuestLimits,
    /// Directories of the guest, by its name for them.
    dirs: Vec<(PathBuf, String)>,
}

/// A guest program, compiled.
#[derive(Clone)]
pub struct Guest {
    program: Program,
    host: GuestHost,
}

#[derive(Clone)]
enum Program {
    Component(Component),
    Core(Module),
}

struct State {
    wasi: WasiCtx,
    nn: WasiNnCtx,
    table: ResourceTable,
}

struct CoreState {
    wasi: WasiP1Ctx,
    nn: WitxCtx,
}

impl std::fmt::Debug for GuestHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestHost").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiNnView for State {
    fn nn(&mut self) -> WasiNnCtxView<'_> {
        WasiNnCtxView {
            ctx: &mut self.nn,
            table: &mut self.table,
        }
    }
}

// === impl GuestHost ===

impl GuestHost {
    /// A host whose guests infer through this client.
    ///
    /// # Panics
    /// When wasmtime cannot be set up.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        let mut config = Config::new();
        config.concurrency_support(false);
        config.epoch_interruption(false);
        let engine = Engine::new(&config).expect("an engine");
        let mut linker = ComponentLinker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI links");
        add_to_linker::<State>(&mut linker).expect("wasi-nn links");
        let mut core_linker = Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut core_linker, |state: &mut CoreState| {
            &mut state.wasi
        })
        .expect("WASI preview 1 links");
        witx::add_to_linker(&mut core_linker, |state: &mut CoreState| &mut state.nn)
            .expect("wasi-nn by witx links");
        Self {
            engine,
            linker: Arc::new(linker),
            core_linker: Arc::new(core_linker),
            client: client.clone(),
            dialect: Dialect::default(),
            limits: GuestLimits::default(),
            dirs: Vec::new(),
        }
    }

    /// The same for core modules of another dialect.
    #[must_use]
    pub fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// The same with other limits for each guest.
    #[must_use]
    pub fn with_limits(mut self, limits: GuestLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The same with a directory that guests may read, under their own name for it.
    #[must_use]
    pub fn with_dir(mut self, host: impl Into<PathBuf>, guest: &str) -> Self {
        self.dirs.push((host.into(), guest.to_owned()));
        self
    }

    /// Compiles one of the checked-in guests.
    ///
    /// # Panics
    /// When it is no WebAssembly.
    #[must_use]
    pub fn guest(&self, name: &str) -> Guest {
        let bytes = std::fs::read(guest_wasm(name)).expect("a guest is there");
        self.compile(&bytes)
    }

    /// Compiles a guest from text, a module or a component.
    ///
    /// # Panics
    /// When it is no WebAssembly.
    #[must_use]
    pub fn guest_from_text(&self, text: &str) -> Guest {
        self.compile(&wat::parse_str(text).expect("text of a guest"))
    }

    fn compile(&self, bytes: &[u8]) -> Guest {
        let program = if bytes.starts_with(CORE_MODULE) {
            Program::Core(Module::from_binary(&self.engine, bytes).expect("a module compiles"))
        } else {
            let component = Component::from_binary(&self.engine, bytes);
            Program::Component(component.expect("a component compiles"))
        };
        Guest {
            program,
            host: self.clone(),
        }
    }

    fn nn(&self) -> WasiNnCtx {
        WasiNnCtx::builder(self.client.clone())
            .limits(self.limits)
            .build()
    }

    fn wasi(&self, args: &[&str], stdout: &MemoryOutputPipe) -> wasmtime::Result<WasiCtxBuilder> {
        let mut wasi = WasiCtx::builder();
        wasi.arg("guest").args(args).stdout(stdout.clone());
        for (host, guest) in &self.dirs {
            wasi.preopened_dir(host, guest, FsPerms::ReadOnly)?;
        }
        Ok(wasi)
    }
}

// === impl Guest ===

impl Guest {
    /// The same guest, which may hold other than the host's.
    #[must_use]
    pub fn with_limits(&self, limits: GuestLimits) -> Self {
        let mut guest = self.clone();
        guest.host.limits = limits;
        guest
    }

    /// Runs the guest in a store of its own; gives what it printed, and whether it succeeded.
    ///
    /// # Errors
    /// When the guest traps, or cannot be instantiated.
    pub async fn run(&self, args: &[&str]) -> wasmtime::Result<(String, bool)> {
        let (text, code) = self.exit(args).await?;
        Ok((text, code == 0))
    }

    /// The same with its exit code; a component has 0 and 1 only.
    ///
    /// # Errors
    /// When the guest traps, or cannot be instantiated.
    pub async fn exit(&self, args: &[&str]) -> wasmtime::Result<(String, i32)> {
        let stdout = MemoryOutputPipe::new(STDOUT_MAX);
        let wasi = self.host.wasi(args, &stdout)?;
        let code = match &self.program {
            Program::Component(component) => self.run_component(component, wasi).await?,
            Program::Core(module) => self.run_core(module, wasi).await?,
        };
        let text = String::from_utf8_lossy(&stdout.contents()).into_owned();
        Ok((text, code))
    }

    async fn run_component(
        &self,
        component: &Component,
        mut wasi: WasiCtxBuilder,
    ) -> wasmtime::Result<i32> {
        let state = State {
            wasi: wasi.build(),
            nn: self.host.nn(),
            table: ResourceTable::new(),
        };
        let mut store = Store::new(&self.host.engine, state);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        let command = Command::instantiate_async(&mut store, component, &self.host.linker).await?;
        let ended = command.wasi_cli_run().call_run(&mut store).await;
        ended.map_or_else(exit_code, |ended| Ok(i32::from(ended.is_err())))
    }

    async fn run_core(&self, module: &Module, mut wasi: WasiCtxBuilder) -> wasmtime::Result<i32> {
        let state = CoreState {
            wasi: wasi.build_p1(),
            nn: WitxCtx::new(self.host.nn(), self.host.dialect),
        };
        let mut store = Store::new(&self.host.engine, state);
        let linker = &self.host.core_linker;
        let instance = linker.instantiate_async(&mut store, module).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        let ended = start.call_async(&mut store, ()).await;
        ended.map_or_else(exit_code, |()| Ok(0))
    }
}

/// WASI's exit unwinds the guest like a trap.
fn exit_code(error: wasmtime::Error) -> wasmtime::Result<i32> {
    match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(code)) => Ok(*code),
        None => Err(error),
    }
}
