//! One guest's run: linked, instantiated, called, until it ends by itself.

use nn_client::Client;
use wasmtime::component::{Component, Linker as ComponentLinker};
use wasmtime::{Engine, Linker, Module};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{I32Exit, WasiCtxBuilder, p1, p2};

use crate::exit::{CausedBy, Failure};
use crate::guest::Guest;
use crate::run::Config;
use crate::state::{self, COMMAND_RESOURCES_MAX, CoreState, State};

/// What a command exports in a core module.
const START: &str = "_start";

/// Runs the guest to its end; gives its exit code.
pub(crate) async fn run(
    engine: &Engine,
    guest: Guest,
    wasi: WasiCtxBuilder,
    client: Client,
    config: &Config,
) -> Result<u8, Failure> {
    match guest {
        Guest::Component(component) => {
            run_component(engine, &component, wasi, client, config).await
        }
        Guest::Core(module) => run_core(engine, &module, wasi, client, config).await,
    }
}

fn unfit(error: wasmtime::Error) -> Failure {
    Failure::Unfit(CausedBy(error))
}

async fn run_component(
    engine: &Engine,
    component: &Component,
    mut wasi: WasiCtxBuilder,
    client: Client,
    config: &Config,
) -> Result<u8, Failure> {
    let mut linker = ComponentLinker::<State>::new(engine);
    p2::add_to_linker_async(&mut linker).map_err(unfit)?;
    nn_host_shim::add_to_linker(&mut linker).map_err(unfit)?;
    let nn = state::nn(client, config.ceilings);
    let mut store = State::store(
        engine,
        (wasi.build(), nn),
        config.ceilings,
        COMMAND_RESOURCES_MAX,
    );
    let command = Command::instantiate_async(&mut store, component, &linker)
        .await
        .map_err(unfit)?;
    match command.wasi_cli_run().call_run(&mut store).await {
        Ok(Ok(())) => Ok(0),
        Ok(Err(())) => Ok(1),
        Err(error) => ended(&error),
    }
}

async fn run_core(
    engine: &Engine,
    module: &Module,
    mut wasi: WasiCtxBuilder,
    client: Client,
    config: &Config,
) -> Result<u8, Failure> {
    if module.get_export(START).is_none() {
        return Err(Failure::NoStart);
    }
    let mut linker = Linker::<CoreState>::new(engine);
    p1::add_to_linker_async(&mut linker, |state: &mut CoreState| &mut state.wasi).map_err(unfit)?;
    nn_host_shim::witx::add_to_linker(&mut linker, |state: &mut CoreState| &mut state.nn)
        .map_err(unfit)?;
    let mut store = CoreState::store(
        engine,
        wasi.build_p1(),
        client,
        config.ceilings,
        config.dialect,
    );
    let instance = match linker.instantiate_async(&mut store, module).await {
        Ok(instance) => instance,
        // A module's own start function runs here already.
        Err(error) if error.is::<I32Exit>() || error.is::<wasmtime::Trap>() => {
            return ended(&error);
        }
        Err(error) => return Err(unfit(error)),
    };
    let start = instance
        .get_typed_func::<(), ()>(&mut store, START)
        .map_err(unfit)?;
    match start.call_async(&mut store, ()).await {
        Ok(()) => Ok(0),
        Err(error) => ended(&error),
    }
}

/// A guest that did not return: it has left by an exit code, or trapped.
fn ended(error: &wasmtime::Error) -> Result<u8, Failure> {
    match error.downcast_ref::<I32Exit>() {
        // As everywhere on Unix: the low byte.
        Some(I32Exit(code)) => Ok(code.to_le_bytes()[0]),
        None => {
            // The reason is for the user; where it happened is for the guest's author (-vv).
            tracing::debug!("{error:?}");
            Err(Failure::Trap(error.root_cause().to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_pass_through_by_their_low_byte() {
        let code = |code| ended(&wasmtime::Error::new(I32Exit(code))).unwrap();
        assert_eq!([code(77), code(256), code(-1)], [77, 0, 255]);
    }

    #[test]
    fn a_trap_is_told_by_its_reason() {
        let trapped = ended(&wasmtime::Error::new(wasmtime::Trap::IntegerOverflow));
        assert!(matches!(trapped, Err(Failure::Trap(reason)) if reason.contains("overflow")));
    }
}
