//! What to serve, where, and within which bounds: flags before the file, the file before the defaults.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nn_tensor::Tenant;

use crate::cli::ServeArgs;
use crate::daemon::Daemon;
use crate::exit::Failure;
use crate::guest::Keep;
use crate::serve::error::ServeError;
use crate::serve::file::{self, File};
use crate::state::Ceilings;

/// A guest, its address, and what it may do.
#[derive(Debug)]
pub(crate) struct Config {
    pub(super) daemon: Daemon,
    pub(super) tenant: Tenant,
    /// `None` where a socket must be inherited.
    pub(super) listen: Option<SocketAddr>,
    pub(super) guest: PathBuf,
    pub(super) env: Vec<(String, String)>,
    pub(super) cache: Keep,
    pub(super) limits: Limits,
}

/// The bounds, ready for use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(super) ceilings: Ceilings,
    pub(super) request_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) requests_max: usize,
    pub(super) connections_max: usize,
    pub(super) body_bytes_max: u64,
    pub(super) drain_max: Duration,
}

/// A day: beyond it, a time is a mistake.
const MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// As many tasks as one process should ever hold.
const AT_ONCE_MAX: u64 = 1 << 16;

const MEMORY_MIN: u64 = 64 << 10;
const MEMORY_MAX: u64 = 4 << 30;
const BODY_BYTES_MAX: u64 = 1 << 30;

fn read(path: &Path) -> Result<File, ServeError> {
    let text = fs::read_to_string(path).map_err(|source| ServeError::File {
        path: path.to_path_buf(),
        source,
    })?;
    let mut file: File = toml::from_str(&text).map_err(|source| ServeError::Text {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;
    let dir = path.parent().unwrap_or(Path::new(""));
    file.component = file.component.map(|component| dir.join(component));
    Ok(file)
}

fn variables(env: BTreeMap<String, String>) -> Result<Vec<(String, String)>, ServeError> {
    let wrong = |(name, value): &(&String, &String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    match env.iter().find(wrong) {
        Some((name, _)) => Err(ServeError::Variable(name.clone())),
        None => Ok(env.into_iter().collect()),
    }
}

// === impl Config ===

impl TryFrom<ServeArgs> for Config {
    type Error = Failure;

    fn try_from(args: ServeArgs) -> Result<Self, Failure> {
        let file = match &args.config {
            Some(path) => read(path)?,
            None => File::default(),
        };
        let tenant = args.tenant.or(file.tenant);
        Ok(Self {
            daemon: Daemon::chosen(args.daemon, file.socket),
            tenant: match tenant {
                Some(tenant) => tenant.parse()?,
                None => Tenant::default(),
            },
            listen: args.listen.or(file.listen),
            guest: args.guest.or(file.component).ok_or(ServeError::NoGuest)?,
            env: variables(file.env)?,
            cache: Keep::from(args.cache),
            limits: Limits::try_from(file.limits)?,
        })
    }
}

// === impl Limits ===

impl TryFrom<file::Limits> for Limits {
    type Error = ServeError;

    fn try_from(given: file::Limits) -> Result<Self, ServeError> {
        let ms = |key, got| within(key, got, 1, MS_MAX).map(Duration::from_millis);
        let count = |key, got, min, max| {
            let got = within(key, got, min, max)?;
            Ok::<usize, ServeError>(usize::try_from(got).unwrap_or(usize::MAX))
        };
        Ok(Self {
            ceilings: Ceilings {
                memory_max: count("memory_max", given.memory_max, MEMORY_MIN, MEMORY_MAX)?,
                compute_timeout: ms("compute_timeout_ms", given.compute_timeout_ms)?,
            },
            request_timeout: ms("request_timeout_ms", given.request_timeout_ms)?,
            response_timeout: ms("response_timeout_ms", given.response_timeout_ms)?,
            requests_max: count("requests_max", given.requests_max, 1, AT_ONCE_MAX)?,
            connections_max: count("connections_max", given.connections_max, 1, AT_ONCE_MAX)?,
            body_bytes_max: within("body_bytes_max", given.body_bytes_max, 0, BODY_BYTES_MAX)?,
            drain_max: ms("drain_ms_max", given.drain_ms_max)?,
        })
    }
}

fn within(key: &'static str, got: u64, min: u64, max: u64) -> Result<u64, ServeError> {
    if (min..=max).contains(&got) {
        return Ok(got);
    }
    Err(ServeError::Limit { key, got, min, max })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn config(file: &str, flags: &[&str]) -> Result<Config, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        fs::write(&path, file).unwrap();
        let words = ["nn-host", "serve", "--config", path.to_str().unwrap()];
        let cli = Cli::try_parse_from(words.iter().chain(flags)).unwrap();
        let Command::Serve(args) = cli.command else {
            panic!("serve was asked for")
        };
        Config::try_from(args)
    }

    #[test]
    fn flags_go_before_the_file() {
        let file =
            "listen = \"127.0.0.1:1\"\ntenant = \"a\"\ncomponent = \"a.wasm\"\nsocket = \"/a\"";
        let flags = [
            "--listen",
            "127.0.0.1:2",
            "--tenant",
            "b",
            "--socket",
            "/b",
            "b.wasm",
        ];
        let config = config(file, &flags).unwrap();
        assert_eq!(config.listen.unwrap().port(), 2);
        assert_eq!(config.tenant.to_string(), "b");
        assert_eq!(config.guest, Path::new("b.wasm"));
        assert!(matches!(config.daemon, Daemon::At(path) if path == Path::new("/b")));
    }

    #[test]
    fn a_component_is_looked_for_beside_the_file() {
        let config = config("component = \"a.wasm\"", &[]).unwrap();
        assert!(config.guest.is_absolute() && config.guest.ends_with("a.wasm"));
    }

    #[test]
    fn a_limit_out_of_bounds_is_refused_with_the_bounds() {
        let error = config("component = \"a\"\n[limits]\nrequests_max = 0", &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "limits.requests_max is 0; expected 1 to 65536"
        );
    }

    #[test]
    fn a_variable_that_cannot_be_is_refused() {
        let error = config("component = \"a\"\n[env]\n\"A=B\" = \"c\"", &[]).unwrap_err();
        assert!(error.to_string().contains("A=B"));
    }

    #[test]
    fn no_guest_at_all_is_wrong_usage() {
        let error = config("", &[]).unwrap_err();
        assert!(matches!(error, Failure::Serve(ServeError::NoGuest)));
    }
}
