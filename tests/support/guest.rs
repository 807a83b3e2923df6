//! Guests inside the test's own process: a small embedding of `nn-host-shim`, so that a test sees what
//! an embedder sees and can count on the client's counters.

use std::sync::Arc;

use nn_client::Client;
use nn_host_shim::{WasiNnCtx, WasiNnCtxView, WasiNnView, add_to_linker};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::paths::guest_wasm;

/// The largest list that a guest may hand over, in bytes.
const HOSTCALL_FUEL: usize = 256 << 20;

/// What a guest may print, in bytes.
const STDOUT_MAX: usize = 1 << 20;

/// An engine and a linker that many guests share.
#[derive(Clone)]
pub struct GuestHost {
    engine: Engine,
    linker: Arc<Linker<State>>,
    client: Client,
}

/// A guest program, compiled.
#[derive(Clone)]
pub struct Guest {
    component: Component,
    host: GuestHost,
}

struct State {
    wasi: WasiCtx,
    nn: WasiNnCtx,
    table: ResourceTable,
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
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI links");
        add_to_linker::<State>(&mut linker).expect("wasi-nn links");
        Self {
            engine,
            linker: Arc::new(linker),
            client: client.clone(),
        }
    }

    /// Compiles one of the checked-in guests.
    ///
    /// # Panics
    /// When it is no component.
    #[must_use]
    pub fn guest(&self, name: &str) -> Guest {
        let component =
            Component::from_file(&self.engine, guest_wasm(name)).expect("a guest compiles");
        Guest {
            component,
            host: self.clone(),
        }
    }
}

impl Guest {
    /// Runs the guest in a store of its own; gives what it printed, and whether it succeeded.
    ///
    /// # Errors
    /// When the guest traps.
    ///
    /// # Panics
    /// When it cannot be instantiated.
    pub async fn run(&self, args: &[&str]) -> wasmtime::Result<(String, bool)> {
        let stdout = MemoryOutputPipe::new(STDOUT_MAX);
        let wasi = WasiCtx::builder()
            .arg("guest")
            .args(args)
            .stdout(stdout.clone())
            .build();
        let nn = WasiNnCtx::new(self.host.client.clone());
        let state = State {
            wasi,
            nn,
            table: ResourceTable::new(),
        };
        let mut store = Store::new(&self.host.engine, state);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        let command =
            Command::instantiate_async(&mut store, &self.component, &self.host.linker).await?;
        let ended = command.wasi_cli_run().call_run(&mut store).await?;
        drop(store);
        let text = String::from_utf8_lossy(&stdout.contents()).into_owned();
        Ok((text, ended.is_ok()))
    }
}
