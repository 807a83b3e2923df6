//! Answers that every job may get, and that of a model which was loaded. Pure.

use nn_tensor::{Fault, Reason, Signature};
use nn_worker_wire::{Failure, FromWorker, encode};

/// The answer to a job that nobody waits for any more.
#[must_use]
pub fn cancelled() -> Failure {
    Failure::new(Fault::of(Reason::Cancelled), String::new())
}

/// The answer to a job whose deadline has passed before it began.
#[must_use]
pub fn late() -> Failure {
    Failure::new(Fault::of(Reason::DeadlineQueued), String::new())
}

/// Loaded, unless the signature is so long that no frame holds it.
#[must_use]
pub fn loaded(signature: &Signature) -> FromWorker {
    let frame = FromWorker::Loaded {
        result: Ok(signature.into()),
    };
    match encode(&frame) {
        Ok(_) => frame,
        Err(error) => {
            let fault = Fault::of(Reason::NamesTooLong);
            FromWorker::Loaded {
                result: Err(Failure::new(fault, error.to_string())),
            }
        }
    }
}
