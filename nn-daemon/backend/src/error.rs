//! Why a framework, a model or a run failed: what a client may read, and what only the log may.

use std::error::Error;

use nn_tensor::{Fault, Reason};

use crate::{Explained, SinkError};

/// What the framework said, in its own words.
pub type Cause = Box<dyn Error + Send + Sync>;

/// A failure inside a backend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The framework's library is not there, is too old, or does not start.
    #[error("the framework does not load")]
    Framework(#[source] Cause),
    /// A model in a format that this backend does not read.
    #[error("a model format that this backend does not read")]
    Format {
        /// What it reads.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// The bytes are no model of their format.
    #[error("the model cannot be read")]
    Encoding(#[source] Cause),
    /// The model uses something that the framework does not have.
    #[error("the model needs an operation that the framework does not have")]
    Operation(#[source] Cause),
    /// One of the model's inputs or outputs cannot be described in wasi-nn's terms.
    #[error("{which} of the model cannot be offered")]
    Signature {
        /// `input x`.
        which: String,
        /// What could be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// The framework could not load the model for another reason.
    #[error("the framework could not load the model")]
    Load(#[source] Cause),
    /// An input is not what the model takes.
    #[error("an input does not fit the model")]
    Input(#[source] Box<Fault>),
    /// An input or output cannot be converted as it was declared, or what was declared does not fit the model.
    #[error("a conversion failed")]
    Convert(#[from] Box<Fault>),
    /// The framework failed while it computed.
    #[error("the framework failed while computing")]
    Run(#[source] Cause),
    /// An allocation failed while the model was loaded or while it computed. The model, if it was
    /// loaded, can be run again.
    #[error("the model ran out of its memory budget")]
    Memory(#[source] Cause),
    /// Somebody asked for the run to be stopped. The model can be run again.
    #[error("the run was stopped")]
    Interrupted(#[source] Cause),
    /// An output had no place.
    #[error("an output could not be stored")]
    Output(#[from] SinkError),
}

// === impl BackendError ===

impl BackendError {
    /// A backend that has no form of a model that loads faster.
    pub(crate) fn not_prepared(format: &str) -> Self {
        Self::Format {
            expected: "a model that is loaded as it is",
            got: format.chars().take(32).collect(),
        }
    }

    /// The part for the client, and the part for the log: the causes, outermost first.
    #[must_use]
    pub fn split(self) -> (Fault, String) {
        let detail = causes(&self);
        (self.into_fault(), detail)
    }

    fn into_fault(self) -> Fault {
        let message = self.to_string();
        let known = |reason, cause: &Cause| Fault::of(reason).got(Explained::got(cause));
        match self {
            Self::Framework(_) => Fault::of(Reason::FrameworkBroken),
            Self::Format { expected, got } => {
                Fault::of(Reason::BackendFormat).expected(expected).got(got)
            }
            Self::Encoding(cause) => known(Reason::ModelUnreadable, &cause),
            Self::Operation(cause) => known(Reason::OperatorUnsupported, &cause),
            Self::Signature { expected, got, .. } => Fault::of(Reason::SignatureUnsupported)
                .message(message)
                .expected(expected)
                .got(got),
            Self::Load(cause) => known(Reason::LoadFailed, &cause),
            Self::Input(fault) | Self::Convert(fault) => *fault,
            Self::Run(cause) => known(Reason::RunFailed, &cause),
            Self::Memory(cause) => known(Reason::RunMemory, &cause).message(message),
            Self::Interrupted(_) => Fault::of(Reason::DeadlineRunning),
            Self::Output(error) => output_fault(&error),
        }
    }
}

fn output_fault(error: &SinkError) -> Fault {
    let fault = |reason| Fault::of(reason).message(error.to_string());
    match error {
        SinkError::Full { .. } => fault(Reason::OutputsFull),
        SinkError::TooLarge { .. } => fault(Reason::OutputTooLarge),
        SinkError::GivenUp => fault(Reason::DeadlineRunning),
        SinkError::Memory(_) => fault(Reason::Defect),
    }
}

fn causes(error: &dyn Error) -> String {
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;

    #[test]
    fn a_frameworks_words_go_to_the_log_alone() {
        let cause: Cause = "failed at /secret/path 0x7f00".into();
        let (fault, detail) = BackendError::Run(cause).split();
        assert_eq!(detail, "failed at /secret/path 0x7f00");
        assert!(!fault.to_string().contains("secret"));
    }

    #[test]
    fn a_model_out_of_memory_is_too_large_and_the_hint_names_the_limit() {
        let cause: Cause = "std::bad_alloc".into();
        let (fault, detail) = BackendError::Memory(cause).split();
        assert_eq!(fault.code, Code::TooLarge);
        assert!(fault.hint.contains("limits.worker_memory_bytes"));
        assert_eq!(detail, "std::bad_alloc");
    }

    #[test]
    fn a_full_arena_is_busy() {
        let (fault, _) = BackendError::Output(SinkError::Full { bytes: 7 }).split();
        assert_eq!(fault.code, Code::Busy);
    }
}
