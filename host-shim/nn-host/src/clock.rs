//! The clock that takes an executor's thread from a guest that computes by itself: one thread for all engines of the process. It
//! ticks while there are guests, and waits while there are none.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// Between two ticks.
const TICK: Duration = Duration::from_micros(500);

static CLOCK: Clock = Clock {
    guests: AtomicUsize::new(0),
    watched: Mutex::new(Watched {
        engines: Vec::new(),
        thread: None,
    }),
};

/// The one clock.
struct Clock {
    guests: AtomicUsize,
    watched: Mutex<Watched>,
}

/// What it is for, and what it is.
struct Watched {
    engines: Vec<EngineWeak>,
    thread: Option<Thread>,
}

/// A guest for whom the clock ticks.
#[derive(Debug)]
pub(crate) struct Ticking(());

/// Has the clock advance this engine's epoch, as long as the engine lives.
pub(crate) fn watch(engine: &Engine) -> io::Result<()> {
    let mut watched = CLOCK.watched();
    watched.engines.push(engine.weak());
    if watched.thread.is_none() {
        let clock = thread::Builder::new().name("epoch".to_owned());
        watched.thread = Some(clock.spawn(|| CLOCK.run())?.thread().clone());
    }
    Ok(())
}

// === impl Clock ===

impl Clock {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            while self.guests.load(Ordering::Acquire) == 0 {
                thread::park();
            }
            thread::sleep(TICK);
            self.watched().engines.retain(|engine| {
                let engine = engine.upgrade();
                engine.inspect(Engine::increment_epoch).is_some()
            });
        }
    }
}

// === impl Ticking ===

impl Ticking {
    /// From here on, until this is dropped.
    pub(crate) fn begin() -> Self {
        if CLOCK.guests.fetch_add(1, Ordering::AcqRel) == 0
            && let Some(thread) = &CLOCK.watched().thread
        {
            thread.unpark();
        }
        Self(())
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        CLOCK.guests.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Config, Instance, Module, Store, Trap};

    use super::*;

    const SPINS: &str = r#"(module (func (export "spin") (loop br 0)))"#;

    #[test]
    fn a_guest_that_spins_is_interrupted_after_a_rest_of_the_clock_too() {
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        watch(&engine).unwrap();
        let module = Module::new(&engine, wat::parse_str(SPINS).unwrap()).unwrap();
        for _ in 0..2 {
            let mut store = Store::new(&engine, Ticking::begin());
            store.set_epoch_deadline(2);
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let spin = instance.get_typed_func::<(), ()>(&mut store, "spin");
            let error = spin.unwrap().call(&mut store, ()).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
        }
    }
}
