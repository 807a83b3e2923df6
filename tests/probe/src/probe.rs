//! The backend that tries instead of loading.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use nix::errno::Errno;
use nn_backend::{Backend, BackendError, LoadedModel, Model, Setup};

use crate::script::{Script, ScriptError};
use crate::steps;

/// What came of a script, in the words that the tests look for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Outcome {
    #[error("allowed: {0}")]
    Allowed(u64),
    #[error("refused: {errno} at step {step}")]
    Refused { errno: i32, step: usize },
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error("the second thread is gone")]
    NoThread,
}

/// Tries what models ask for. Its second thread is made as a framework's are: before the seal.
#[derive(Debug, Default)]
pub(crate) struct ProbeBackend {
    second: Option<(Sender<Script>, Receiver<Outcome>)>,
}

fn attempt(script: &Script) -> Outcome {
    let mut last = 0;
    for (step, what) in script.steps.iter().enumerate() {
        last = match steps::take(what, last) {
            Ok(value) => value,
            Err(errno) => {
                let errno = if errno == Errno::UnknownErrno {
                    -1
                } else {
                    errno as i32
                };
                return Outcome::Refused { errno, step };
            }
        };
    }
    Outcome::Allowed(last)
}

// === impl ProbeBackend ===

impl ProbeBackend {
    fn outcome(&self, model: &Model<'_>) -> Outcome {
        let bytes = model.parts.first().map_or(&[][..], |(_, bytes)| bytes);
        let script = match Script::find(bytes) {
            Ok(script) => script,
            Err(error) => return error.into(),
        };
        if !script.thread {
            return attempt(&script);
        }
        let Some((scripts, outcomes)) = &self.second else {
            return Outcome::NoThread;
        };
        let told = scripts.send(script).ok();
        told.and_then(|()| outcomes.recv().ok())
            .unwrap_or(Outcome::NoThread)
    }
}

impl Backend for ProbeBackend {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn open(&mut self, _: &Setup<'_>) -> Result<String, BackendError> {
        let (scripts, mine) = mpsc::channel::<Script>();
        let (told, outcomes) = mpsc::channel();
        let (begun, begins) = mpsc::channel();
        let second = thread::Builder::new().name("probe-second".to_owned());
        let started = second.spawn(move || {
            let _ = begun.send(());
            while let Ok(script) = mine.recv() {
                let _ = told.send(attempt(&script));
            }
        });
        started.map_err(|error| BackendError::Framework(error.into()))?;
        // A thread that is still starting makes calls that no filter allows.
        let _ = begins.recv();
        self.second = Some((scripts, outcomes));
        Ok("a probe that has no framework".to_owned())
    }

    fn check(&mut self) -> Result<(), BackendError> {
        Ok(())
    }

    fn load(&mut self, model: &Model<'_>) -> Result<Box<dyn LoadedModel>, BackendError> {
        Err(BackendError::Load(self.outcome(model).into()))
    }
}
