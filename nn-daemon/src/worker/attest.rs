//! What the kernel says of a worker, read before the model is sent to it: the worker's own word
//! counts for nothing.

use std::fs;

/// What a worker must be found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attestation {
    /// It can gain no privileges by exec.
    pub(crate) no_new_privs: bool,
}

/// Why a worker is not trusted with a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestError {
    #[error("cannot read the state of process {pid}")]
    Read {
        pid: u32,
        #[source]
        source: std::io::Error,
    },
    #[error("process {pid} can still gain privileges; expected NoNewPrivs 1, got {got}")]
    NoNewPrivs { pid: u32, got: String },
}

/// Reads /proc and fails unless everything required holds.
pub(crate) fn attest(pid: u32) -> Result<Attestation, AttestError> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|source| AttestError::Read { pid, source })?;
    judge(pid, &status)
}

fn judge(pid: u32, status: &str) -> Result<Attestation, AttestError> {
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or("nothing").trim().to_owned()
    };
    match field("NoNewPrivs").as_str() {
        "1" => Ok(Attestation { no_new_privs: true }),
        got => Err(AttestError::NoNewPrivs {
            pid,
            got: got.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_can_gain_privileges_is_refused() {
        assert!(judge(1, "Name:\tnn-worker\nNoNewPrivs:\t0\n").is_err());
        assert!(judge(1, "Name:\tnn-worker\n").is_err());
        assert!(judge(1, "Name:\tnn-worker\nNoNewPrivs:\t1\n").is_ok());
    }
}
