//! The configuration file of `nn-host serve` as it is written. `Config` gives it meaning.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// All keys; every one may be left out.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    /// Where to listen: `127.0.0.1:8080`, `[::]:80`.
    pub(crate) listen: Option<SocketAddr>,
    /// The guest's file; a relative path begins at this file's folder.
    pub(crate) component: Option<PathBuf>,
    /// On whose behalf the guest infers.
    pub(crate) tenant: Option<String>,
    /// The socket of nn-daemon.
    pub(crate) socket: Option<PathBuf>,
    /// The guest's environment, all of it.
    pub(crate) env: BTreeMap<String, String>,
    /// Bounds.
    pub(crate) limits: Limits,
}

/// What requests may use, and how long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Linear memory of one request's instance, in bytes.
    pub(crate) memory_max: u64,
    /// Longest time until a request's answer begins; and, once it has begun, between two pieces of it.
    pub(crate) request_timeout_ms: u64,
    /// Longest time from an answer's beginning to its end.
    pub(crate) response_timeout_ms: u64,
    /// Longest time one compute may take.
    pub(crate) compute_timeout_ms: u64,
    /// Requests worked on at a time; those beyond are answered 503 at once.
    pub(crate) requests_max: u64,
    /// Connections open at a time; those beyond are answered 503 and closed.
    pub(crate) connections_max: u64,
    /// The largest body of a request, in bytes.
    pub(crate) body_bytes_max: u64,
    /// How long requests in flight may take to finish once the end is asked for.
    pub(crate) drain_ms_max: u64,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_max: 256 << 20,
            request_timeout_ms: 30_000,
            response_timeout_ms: 300_000,
            compute_timeout_ms: 30_000,
            requests_max: 64,
            connections_max: 1024,
            body_bytes_max: 16 << 20,
            drain_ms_max: 10_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(toml::from_str::<File>("").unwrap(), File::default());
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        for text in ["lisen = \"127.0.0.1:80\"", "[limits]\nmemory = 1"] {
            let error = toml::from_str::<File>(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }
}
