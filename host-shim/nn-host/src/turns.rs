//! The turns that guests take on an executor's thread, by the ticks of the clock.
//!
//! A tick that comes just after a guest got its turn leaves it that: to be sent back at once, for what came while it waited, costs a turn
//! and gains nobody anything. And who yields is looked at again when the thread has seen what else there is, not offered to another
//! thread meanwhile: its memory is in the caches of this one.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::task::yield_now;
use wasmtime::{Store, UpdateDeadline};

/// A guest's turn is no shorter than this while it computes, and a tick longer at most: what else a thread of the executor has to do
/// waits no longer for it.
const TURN_MIN: Duration = Duration::from_micros(250);

thread_local! {
    /// When the guest that this thread runs got its turn.
    static TURN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Has the guest of a store yield when its turn is over.
pub(crate) fn take_turns<T: 'static>(store: &mut Store<T>) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|_| {
        let turn = TURN.get().map(|since| since.elapsed());
        Ok(match turn {
            Some(turn) if turn < TURN_MIN => UpdateDeadline::Continue(1),
            Some(_) | None => UpdateDeadline::YieldCustom(1, Box::pin(yield_now())),
        })
    });
}

/// A guest's work, each turn of which is known to begin.
pub(crate) async fn in_turns<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|cx| {
        TURN.set(Some(Instant::now()));
        work.as_mut().poll(cx)
    })
    .await
}

#[cfg(test)]
mod tests {
    use wasmtime::{Config, Engine, Instance, Module};

    use super::*;
    use crate::clock::{Ticking, watch};

    const SPINS: &str = r#"(module (func (export "spin") (loop (br 0))))"#;

    #[tokio::test]
    async fn a_guest_that_spins_leaves_the_thread_to_others_turn_by_turn() {
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        watch(&engine).unwrap();
        let module = Module::new(&engine, wat::parse_str(SPINS).unwrap()).unwrap();
        let mut store = Store::new(&engine, Ticking::begin());
        take_turns(&mut store);
        let spinning = in_turns(async {
            let instance = Instance::new_async(&mut store, &module, &[]).await.unwrap();
            let spin = instance.get_typed_func::<(), ()>(&mut store, "spin");
            spin.unwrap().call_async(&mut store, ()).await
        });
        let other = async {
            for _ in 0..100 {
                yield_now().await;
            }
        };
        tokio::select! {
            ended = spinning => panic!("it ended: {ended:?}"),
            () = other => {}
        }
    }
}
