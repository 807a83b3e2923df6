//! Why a worker did not come to serve, and to whom that is held.

use nn_tensor::{Fault, Reason};
use nn_vet::Contradiction;

use super::super::Cause;
use super::super::attest::AttestError;
use super::super::ends::Ends;
use super::super::spawn::SpawnError;
use crate::framework::Framework;
use crate::limits::Limits;
use crate::model::Model;

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It runs, but not as it must.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// It did not get as far as being given the model.
    #[error("the worker did not get as far as the model")]
    Boot(#[source] Box<StartError>),
    /// It ended, or could not be spoken to.
    #[error("the worker {0} while it loaded the model")]
    Died(Cause),
    /// It answered something else than it was asked.
    #[error("the worker broke the protocol: {0}")]
    Protocol(String),
    /// It did not get there in time.
    #[error("the worker was not ready in time")]
    Late,
    /// It had the model, and its time to load it is over: another would not be quicker.
    #[error("{0}")]
    TooLong(Fault),
    /// The model's bytes could not be read just now.
    #[error("{0}")]
    Unread(Fault),
    /// The framework refused the model, or its bytes are not what they were: trying again will not help.
    #[error("{0}")]
    Refused(Fault),
    /// It has loaded the model and did not run it as `model.toml` says that it is warmed up.
    #[error("{fault}")]
    WarmUp {
        /// Which run, and what went wrong, for clients.
        fault: Box<Fault>,
        #[source]
        error: Box<StartError>,
    },
}

// === impl StartError ===

impl StartError {
    /// Why the model is not tried again, if it is not: the framework refused it, or the first of its workers was not
    /// warmed up and lives.
    pub(crate) fn refusal(&self, first: bool) -> Option<&Fault> {
        match self {
            Self::Refused(fault) => Some(fault),
            // One that has been loaded before may find a busier machine.
            Self::TooLong(fault) => first.then_some(fault),
            Self::WarmUp { fault, error } => {
                let lives = matches!(**error, Self::Refused(_) | Self::Late);
                (first && lives).then_some(&**fault)
            }
            Self::Spawn(_)
            | Self::Attest(_)
            | Self::Boot(_)
            | Self::Died(_)
            | Self::Protocol(_)
            | Self::Unread(_)
            | Self::Late => None,
        }
    }

    /// Whether it says nothing of the model, so that who wants it next tries again: there was no worker to be had, or no
    /// bytes, or it was not ready for the model in time.
    pub(crate) fn is_for_want_of_worker(&self) -> bool {
        match self {
            Self::Spawn(_) | Self::Unread(_) | Self::Late => true,
            Self::Boot(error) => matches!(**error, Self::Late),
            Self::Attest(_)
            | Self::Died(_)
            | Self::Protocol(_)
            | Self::TooLong(_)
            | Self::Refused(_)
            | Self::WarmUp { .. } => false,
        }
    }

    /// Whether it may be the doing of what it was given in place of the model.
    pub(super) fn may_be_what_was_given(&self) -> bool {
        match self {
            Self::Died(_)
            | Self::Protocol(_)
            | Self::TooLong(_)
            | Self::Refused(_)
            | Self::WarmUp { .. } => true,
            Self::Spawn(_) | Self::Attest(_) | Self::Boot(_) | Self::Late | Self::Unread(_) => {
                false
            }
        }
    }

    /// What clients are told.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Died(cause) => Fault::of(Reason::LoadCrashed)
                .message(format!("the worker {cause} while it loaded the model")),
            Self::Late => late(),
            Self::Boot(error) if matches!(**error, Self::Late) => late(),
            Self::Spawn(_) => Fault::of(Reason::SpawnRefused),
            Self::Boot(_) | Self::Attest(_) | Self::Protocol(_) => {
                Fault::of(Reason::WorkerNotStarted)
            }
            Self::Refused(fault) | Self::TooLong(fault) | Self::Unread(fault) => fault.clone(),
            Self::WarmUp { fault, .. } => (**fault).clone(),
        }
    }

    /// Counts the worker that did not make it.
    pub(in crate::worker) fn count(&self, ends: &Ends) {
        match self {
            Self::Died(cause) => ends.count(cause),
            Self::Attest(_) | Self::Protocol(_) => ends.count(&Cause::Protocol),
            Self::Late | Self::TooLong(_) => ends.count(&Cause::Timeout),
            Self::Boot(error) | Self::WarmUp { error, .. } => error.count(ends),
            Self::Spawn(_) | Self::Unread(_) | Self::Refused(_) => {}
        }
    }
}

/// Nothing is known of the model yet: what came before it took all the time.
fn late() -> Fault {
    Fault::of(Reason::LoadLate)
        .message("no worker was ready for the model in time")
        .hint("try again later; limits.load_ms_max sets the time")
}

/// What clients are told of a load that met its deadline.
pub(super) fn too_long(model: &Model, limits: &Limits) -> Fault {
    let within = model.load_max(limits);
    let hint = if within < limits.load_max() {
        "load_ms_max of its model.toml sets this, up to limits.load_ms_max; a model that computes without end before its first run never loads"
    } else {
        "limits.load_ms_max sets this; a model that computes without end before its first run never loads"
    };
    Fault::of(Reason::LoadLate)
        .message("loading the model took too long")
        .expected(format!("at most {within:?}"))
        .hint(hint)
}

/// A framework takes or gives something else than a model's bytes say. OpenVINO leaves out inputs that nothing reads, and calls
/// a result that is an input's value by that input's name: that is no lie of its worker's, and its model is nobody's attack. It is
/// refused, and nothing is held against its bytes.
pub(super) fn disagreed(framework: Framework, lie: &Contradiction) -> StartError {
    match framework {
        Framework::OnnxRuntime => StartError::Protocol(format!(
            "a signature {}, the model's is {}",
            lie.got, lie.expected
        )),
        Framework::OpenVino | Framework::KServe => StartError::Refused(
            Fault::of(Reason::SignatureUnsupported)
                .message("OpenVINO takes or gives something else than the model's file says")
                .expected(lie.expected.as_str())
                .got(lie.got.as_str())
                .hint("run it by ONNX Runtime (`--backend onnxruntime`), or export it without inputs that nothing reads and outputs that are inputs"),
        ),
    }
}
