//! The wasmtime engine, and the clock that lets the executor take a busy guest's thread away.

use std::io;
use std::thread;
use std::time::Duration;

use wasmtime::{Cache, Config, Engine, EngineWeak};

/// A guest that computes by itself yields to the executor so often.
const EPOCH: Duration = Duration::from_millis(10);

/// An engine whose epoch advances as long as it lives, and that keeps what it compiles if it has a cache.
pub(crate) fn engine(cache: Option<Cache>) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    // Guests call one function at a time; the support for more costs every call.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.cache(cache);
    let engine = Engine::new(&config)?;
    tick(engine.weak())?;
    Ok(engine)
}

fn tick(engine: EngineWeak) -> io::Result<()> {
    let ticking = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(EPOCH);
        }
    };
    thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(ticking)
        .map(drop)
}
