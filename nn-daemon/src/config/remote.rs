//! Remote engines: which of them models may name at all, and what it takes to ask them.

use std::path::{Path, PathBuf};

use nn_worker_wire::{ALLOWED_MAX, Endpoint, EndpointError};

use super::{ConfigError, file, first_dir, program};

/// Where models that remote engines compute may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// `host:port` of each, in one form.
    pub endpoints: Vec<String>,
    /// The directory of certificates, keys and tokens; `None` where there is none.
    pub secrets: Option<PathBuf>,
    /// The program that asks them.
    pub relay: PathBuf,
    /// The program that connects to them.
    pub dialer: PathBuf,
}

/// Why the configuration of remote engines is none.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// One of them is no address.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// There are too many.
    #[error("{0} endpoints; expected at most {ALLOWED_MAX}")]
    TooMany(usize),
    /// No directory.
    #[error("secrets names {0}, which is no directory")]
    Secrets(PathBuf),
}

/// What of it holds; `None` where no model may name an endpoint.
pub(super) fn remote(
    said: file::Remote,
    programs: (Option<PathBuf>, Option<PathBuf>),
    own: &Path,
) -> Result<Option<Remote>, ConfigError> {
    if said.endpoints.is_empty() {
        return Ok(None);
    }
    let endpoints = said.endpoints.iter().map(|text| {
        let endpoint = Endpoint::parse(text).map_err(RemoteError::from)?;
        Ok(endpoint.to_string())
    });
    let mut endpoints = endpoints.collect::<Result<Vec<String>, RemoteError>>()?;
    endpoints.sort();
    endpoints.dedup();
    if endpoints.len() > ALLOWED_MAX {
        return Err(RemoteError::TooMany(endpoints.len()).into());
    }
    let given = first_dir(&[("CREDENTIALS_DIRECTORY", "")], "");
    let given = Some(given).filter(|given| given.is_dir());
    let secrets = match said.secrets {
        Some(named) if !named.is_dir() => return Err(RemoteError::Secrets(named).into()),
        named => named.or(given),
    };
    Ok(Some(Remote {
        endpoints,
        secrets,
        relay: program(programs.0, own, "nn-relay", "relay")?,
        dialer: program(programs.1, own, "nn-dialer", "dialer")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Remote>, ConfigError> {
        let program = std::env::current_exe().unwrap();
        let programs = (Some(program.clone()), Some(program.clone()));
        remote(toml::from_str(text).unwrap(), programs, &program)
    }

    #[test]
    fn without_endpoints_nothing_is_remote_and_no_program_is_looked_for() {
        let own = Path::new("/nowhere/nn-daemon");
        let none = remote(file::Remote::default(), (None, None), own);
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn endpoints_are_kept_once_and_in_one_form() {
        let read = read("endpoints = [\"b:2\", \"A:1\", \"a:1\"]")
            .unwrap()
            .unwrap();
        assert_eq!(read.endpoints, ["a:1", "b:2"]);
    }

    #[test]
    fn what_is_no_address_or_no_directory_is_refused() {
        for text in [
            "endpoints = [\"http://a:1\"]",
            "endpoints = [\"a\"]",
            "endpoints = [\"a:1\"]\nsecrets = \"/nowhere/at/all\"",
        ] {
            assert!(matches!(read(text), Err(ConfigError::Remote(_))), "{text}");
        }
    }
}
