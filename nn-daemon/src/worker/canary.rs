//! A worker without a model, kept to see whether workers work: started like any other, by the spawner and in the jail,
//! it lets its framework compute something small whenever it is asked to.

use std::io;

use nn_worker_wire as wire;

use super::needs::{Needs, spawn};
use super::spawn::{Purpose, SpawnError};
use super::start::{self, Booted, StartError, Startup};

/// The worker, once there is one. One that has failed a check is killed, and the next check starts another.
#[derive(Debug, Default)]
pub(crate) struct Canary {
    worker: Option<Booted>,
    turn: u64,
}

// === impl Canary ===

impl Canary {
    /// Asks the spawner for a process and the worker for a result. Whoever gives up waiting drops this future, and with
    /// it the worker.
    pub(crate) async fn check(&mut self, start: &Startup) -> Result<(), StartError> {
        start
            .spawner
            .try_namespaces(0)
            .await?
            .result
            .map_err(|why| SpawnError::System(io::Error::other(why)))?;
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => {
                let started = spawn(start, Purpose::Canary, needs(start)?).await?;
                start::boot(start, started, None).await?
            }
        };
        self.turn = self.turn.wrapping_add(1);
        let asked = ask(&mut worker, self.turn).await;
        match asked {
            Ok(()) => self.worker = Some(worker),
            Err(error) => {
                error.count(&start.ends);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// It is of the first framework that there is. It has no model, and the threads of models that say nothing of theirs.
fn needs(start: &Startup) -> Result<Needs, StartError> {
    let framework = start.frameworks.first().map_err(StartError::Refused)?;
    Ok(Needs {
        model_bytes: 0,
        framework,
        threads: start.threads,
    })
}

async fn ask(worker: &mut Booted, turn: u64) -> Result<(), StartError> {
    start::send(&worker.socket, &wire::ToWorker::Canary { turn }, None).await?;
    match start::recv(&worker.socket, &mut worker.exit).await? {
        wire::FromWorker::Canary { turn: of, result } if of == turn => result
            .map_err(|failure| StartError::Refused(super::answer::explain(failure, worker.id))),
        other => Err(StartError::Protocol(format!(
            "{other:?} in answer to Canary"
        ))),
    }
}
