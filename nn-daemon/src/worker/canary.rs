//! Workers without a model, kept to see whether workers work: started like any other, by the spawner and in the jail,
//! each lets its framework compute something small whenever it is asked to. There is one of each framework that runs a
//! model just now, and of the first that there is.

use std::io;

use nn_tensor::Fault;
use nn_worker_wire as wire;

use super::needs::{Needs, spawn};
use super::spawn::{Purpose, SpawnError};
use super::start::{self, Booted, StartError, Startup};
use crate::framework::{Framework, Role};

/// The workers, as far as there are some. One that has failed a check is killed, and the next check starts another.
#[derive(Debug, Default)]
pub(crate) struct Canary {
    workers: Vec<(Framework, Booted)>,
    turn: u64,
}

/// What has failed a check.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// No process can be started.
    #[error("no worker can be started")]
    Spawner(#[source] StartError),
    /// A worker has not computed.
    #[error("a worker of {} has not computed", .0.title())]
    Worker(Framework, #[source] StartError),
}

// === impl Canary ===

impl Canary {
    /// Asks the spawner for a process and workers for results: one of each of these frameworks, and of the first that there
    /// is; others are ended. Whoever gives up waiting drops this future, and with it the worker that was asked.
    pub(crate) async fn check(
        &mut self,
        start: &Startup,
        used: &[Framework],
    ) -> Result<(), CheckError> {
        let trial = start.spawner.try_namespaces(0).await;
        trial
            .and_then(|trial| {
                let refused = |why| SpawnError::System(io::Error::other(why));
                trial.result.map_err(refused)
            })
            .map_err(|error| CheckError::Spawner(error.into()))?;
        let refused = |fault| CheckError::Spawner(StartError::Refused(fault));
        let wanted = wanted(start, used).map_err(refused)?;
        self.workers.retain(|(of, _)| wanted.contains(of));
        for framework in wanted {
            let of = |error| CheckError::Worker(framework, error);
            self.compute(start, framework).await.map_err(of)?;
        }
        Ok(())
    }

    async fn compute(&mut self, start: &Startup, framework: Framework) -> Result<(), StartError> {
        let place = self.workers.iter().position(|(of, _)| *of == framework);
        let mut worker = match place {
            Some(place) => self.workers.swap_remove(place).1,
            None => {
                let needs = needs(start, framework);
                let started = spawn(start, Purpose::Canary, needs).await?;
                start::boot(start, started, None).await?
            }
        };
        self.turn = self.turn.wrapping_add(1);
        let asked = ask(&mut worker, self.turn).await;
        match asked {
            Ok(()) => self.workers.push((framework, worker)),
            Err(error) => {
                error.count(&start.ends);
                return Err(error);
            }
        }
        Ok(())
    }
}

fn wanted(start: &Startup, used: &[Framework]) -> Result<Vec<Framework>, Fault> {
    let first = start.frameworks.first()?;
    let mut wanted = vec![first];
    wanted.extend(used.iter().copied().filter(|&of| of != first));
    Ok(wanted)
}

/// It has no model, and the threads of models that say nothing of theirs.
fn needs(start: &Startup, framework: Framework) -> Needs {
    Needs {
        budget: start.limits.worker_budget(0),
        framework,
        role: Role::Serves,
        threads: start.threads,
    }
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
