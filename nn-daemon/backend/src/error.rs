//! Why a framework, a model or a run failed: what a client may read, and what only the log may.

use std::error::Error;

use nn_tensor::{Code, Fault};

use crate::SinkError;

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
    /// The part for the client, and the part for the log: the causes, outermost first.
    #[must_use]
    pub fn split(self) -> (Fault, String) {
        let detail = causes(&self);
        (self.into_fault(), detail)
    }

    fn into_fault(self) -> Fault {
        let message = self.to_string();
        match self {
            Self::Framework(_) => Fault::runtime(message)
                .hint("the daemon's log has the framework's own words under this id"),
            Self::Format { expected, got } => Fault::new(Code::UnsupportedOperation, message)
                .expected(expected)
                .got(got),
            Self::Encoding(_) => Fault::new(Code::InvalidEncoding, message)
                .hint("check that the file is whole and of the format it was said to be in"),
            Self::Operation(_) => Fault::new(Code::UnsupportedOperation, message)
                .hint("export the model for an older operator set, or without custom operators"),
            Self::Signature { expected, got, .. } => {
                Fault::new(Code::UnsupportedOperation, message)
                    .expected(expected)
                    .got(got)
                    .hint("convert it inside the model, by a Cast node for example")
            }
            Self::Load(_) => Fault::runtime(message)
                .hint("the daemon's log has the framework's own words under this id"),
            Self::Input(fault) => *fault,
            Self::Run(_) => Fault::runtime(message)
                .hint("check that sizes that depend on each other agree between the inputs"),
            Self::Memory(_) => Fault::too_large(message)
                .hint("use smaller inputs, or a larger budget: limits.worker_memory_bytes"),
            Self::Interrupted(_) => Fault::new(Code::Timeout, message),
            Self::Output(error) => output_fault(&error),
        }
    }
}

fn output_fault(error: &SinkError) -> Fault {
    let message = error.to_string();
    match error {
        SinkError::Full { .. } => Fault::busy(message)
            .hint("drop the results of earlier calls, or raise the tenant's byte budget"),
        SinkError::TooLarge { .. } => Fault::too_large(message),
        SinkError::GivenUp => Fault::new(Code::Timeout, message),
        SinkError::Memory(_) => Fault::runtime(message),
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
