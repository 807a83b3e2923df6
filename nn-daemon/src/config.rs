//! The configuration as it holds: validated, with every default filled in. `TryFrom<Cli>` is the only
//! door; nothing else reads flags, files or the environment.

mod bounds;
mod file;
mod kserve;
mod library;
mod remote;
mod show;
mod tenants;
mod unknown;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use crate::cli::Cli;
use crate::framework::Framework;
use crate::lifecycle::policy::Isolation;
use crate::limits::Limits;
use crate::tenancy::Listed;
use bounds::check;
pub use kserve::{Kserve, Tls};
pub(crate) use library::Library;
use nn_sandbox::{Layer, OwnProfile, Profile};
pub use remote::{Remote, RemoteError};

/// What the daemon runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the sockets go.
    pub runtime_dir: PathBuf,
    /// Where uploaded models are kept.
    pub state_dir: PathBuf,
    /// Directories of models to serve from.
    pub repositories: Vec<PathBuf>,
    /// Whether to end when standard input does.
    pub end_with_stdin: bool,
    /// ONNX Runtime's library.
    pub onnxruntime: Library,
    /// OpenVINO's, which needs others from beside it.
    pub openvino: Library,
    /// The worker program.
    pub worker: PathBuf,
    /// The program that starts workers.
    pub spawner: PathBuf,
    /// Framework threads of one run.
    pub threads: u32,
    /// The first of the uids that workers get where the daemon may give them away.
    pub uid_first: u32,
    /// Whom one worker of an operator's model serves.
    pub isolation: Isolation,
    /// Whether a second worker waits beside one that answers.
    pub warm_spare: bool,
    /// The jail of workers.
    pub sandbox: Sandbox,
    /// Bounds.
    pub limits: Limits,
    /// Where metrics are served over HTTP; nowhere unless the operator says so.
    pub metrics: Option<SocketAddr>,
    /// The door of KServe's clients over TCP.
    pub kserve: Kserve,
    /// Remote engines; `None` where no model may name one.
    pub remote: Option<Remote>,
    /// What tenants may have, and who may act for them.
    pub(crate) tenants: Listed,
}

/// How workers are jailed, as far as that is to be chosen.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Their profile.
    pub profile: &'static Profile,
    /// Layers of workers to be taken for missing.
    pub without: Vec<Layer>,
    /// The same of the daemon itself.
    pub without_broker: Vec<Layer>,
    /// And of the spawner.
    pub without_spawner: Vec<Layer>,
    /// And of the dialer, where there is one.
    pub without_dialer: Vec<Layer>,
    /// Whether to start workers without layers that the profile requires.
    pub allow_degraded: bool,
}

/// The first uid of workers: above what distributions, containers and systemd give away.
const UID_FIRST: u32 = 1_900_000_000;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not as it should be.
    #[error("in the configuration file {path}{hint}")]
    Parse {
        /// Which.
        path: PathBuf,
        /// The key that was probably meant, if one was not known.
        hint: String,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A tenant's name is none.
    #[error("in [tenants] of the configuration")]
    Tenant(#[from] nn_tensor::NameError),
    /// Something that a tenant cannot have.
    #[error("{key} is {got}; expected {expected}")]
    OfTenant {
        /// Which.
        key: String,
        /// What it is.
        got: String,
        /// What it may be.
        expected: String,
    },
    /// A tenant's name in `[kserve]` is none.
    #[error("in [kserve] of the configuration")]
    KserveTenant(#[source] nn_tensor::NameError),
    /// A door that cannot be meant.
    #[error("{key} {got}; expected {expected}")]
    Kserve {
        /// Which key.
        key: &'static str,
        /// What is wrong with it.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Remote engines that cannot be.
    #[error("in [remote] of the configuration")]
    Remote(#[from] RemoteError),
    /// A bound that leaves nothing.
    #[error("limits.{name} is {got}; expected {expected}")]
    Limit {
        /// Which.
        name: &'static str,
        /// What it is.
        got: u64,
        /// What it may be.
        expected: &'static str,
    },
    /// A layer that there is not.
    #[error("sandbox.{key} names {got:?}; expected one of {expected}")]
    Layer {
        /// Which key.
        key: &'static str,
        /// What it says.
        got: String,
        /// What it may say.
        expected: String,
    },
    /// More threads than the profile of workers allows.
    #[error("workers.threads is {got}; expected 1 to {max}, by the sandbox profile {profile}")]
    Threads {
        /// What it is.
        got: u32,
        /// The most.
        max: u32,
        /// Whose bound that is.
        profile: &'static str,
    },
    /// A uid for workers that is somebody's.
    #[error(
        "workers.uid_first is {got}; expected a uid that no user, service or container has, 65536 to 4294967039"
    )]
    Uid {
        /// What it is.
        got: u32,
    },
    /// This build has no profile for its workers.
    #[error("there is no sandbox profile {0}; this build is broken")]
    Profile(&'static str),
    /// A program of ours is not there.
    #[error(
        "there is no {what} at {path}; hint: build it (`cargo build --workspace`) or set workers.{key}"
    )]
    Program {
        /// Which program.
        what: &'static str,
        /// The key that names it.
        key: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The daemon's own file is not to be found.
    #[error("cannot tell where this program is")]
    OwnPath(#[source] io::Error),
}

/// From what the environment says, the first that is set.
fn first_dir(variables: &[(&str, &str)], last: &str) -> PathBuf {
    variables
        .iter()
        .find_map(|(name, below)| {
            let value = env::var_os(name).filter(|value| !value.is_empty())?;
            Some(if below.is_empty() {
                value.into()
            } else {
                Path::new(&value).join(below)
            })
        })
        .unwrap_or_else(|| last.into())
}

fn program(
    given: Option<PathBuf>,
    own: &Path,
    what: &'static str,
    key: &'static str,
) -> Result<PathBuf, ConfigError> {
    let beside = own.with_file_name(what);
    let installed = prefix(own).map(|prefix| prefix.join("lib/nn-daemon").join(what));
    let path = given
        .or_else(|| installed.filter(|path| !beside.is_file() && path.is_file()))
        .unwrap_or(beside);
    if path.is_file() {
        Ok(path)
    } else {
        Err(ConfigError::Program { what, key, path })
    }
}

/// PREFIX of PREFIX/bin/nn-daemon.
fn prefix(own: &Path) -> Option<&Path> {
    own.parent()?.parent()
}

fn sandbox(file: &file::Sandbox, allow_degraded: bool) -> Result<Sandbox, ConfigError> {
    const PROFILE: &str = Framework::OnnxRuntime.profile_name();
    let own = |key, process, names| {
        let profile = OwnProfile::named(process).ok_or(ConfigError::Profile(process))?;
        let theirs: Vec<Layer> = profile.layers.iter().map(|rule| rule.layer).collect();
        layers(key, names, &theirs)
    };
    Ok(Sandbox {
        profile: Profile::named(PROFILE).ok_or(ConfigError::Profile(PROFILE))?,
        without: layers("without", &file.without, &Layer::ALL)?,
        without_broker: own("without_broker", "broker", &file.without_broker)?,
        without_spawner: own("without_spawner", "spawner", &file.without_spawner)?,
        without_dialer: own("without_dialer", "dialer", &file.without_dialer)?,
        allow_degraded,
    })
}

/// Layers by name, of those that there are.
fn layers(key: &'static str, names: &[String], of: &[Layer]) -> Result<Vec<Layer>, ConfigError> {
    let layer = |name: &String| {
        let found = Layer::named(name).filter(|layer| of.contains(layer));
        found.ok_or_else(|| {
            let expected: Vec<&str> = of.iter().map(|layer| layer.name()).collect();
            ConfigError::Layer {
                key,
                got: name.clone(),
                expected: expected.join(", "),
            }
        })
    };
    names.iter().map(layer).collect()
}

fn threads(given: Option<u32>, profile: &Profile) -> Result<u32, ConfigError> {
    let (threads, max) = (given.unwrap_or(1), profile.threads_max);
    if (1..=max).contains(&threads) {
        return Ok(threads);
    }
    Err(ConfigError::Threads {
        got: threads,
        max,
        profile: profile.name,
    })
}

fn uid(given: Option<u32>) -> Result<u32, ConfigError> {
    let uid = given.unwrap_or(UID_FIRST);
    // Room for as many as there can be workers, below the number that stands for nobody at all.
    if (65_536..=u32::MAX - 256).contains(&uid) {
        Ok(uid)
    } else {
        Err(ConfigError::Uid { got: uid })
    }
}

impl Config {
    /// Says what of it may not be what is meant.
    pub(crate) fn warn(&self) {
        tenants::warn(&self.tenants);
        kserve::warn(&self.kserve);
    }

    /// A framework's library.
    pub(crate) fn library(&self, framework: Framework) -> &Library {
        match framework {
            Framework::OnnxRuntime => &self.onnxruntime,
            Framework::OpenVino | Framework::KServe => &self.openvino,
        }
    }
}

impl TryFrom<Cli> for Config {
    type Error = ConfigError;

    fn try_from(cli: Cli) -> Result<Self, ConfigError> {
        let file = match cli.config {
            None => file::File::default(),
            Some(path) => {
                let text = fs::read_to_string(&path).map_err(|source| ConfigError::Read {
                    path: path.clone(),
                    source,
                })?;
                toml::from_str(&text).map_err(|source| ConfigError::Parse {
                    path,
                    hint: unknown::hint(&source),
                    source: Box::new(source),
                })?
            }
        };
        check(&file.limits)?;
        let own = env::current_exe().map_err(ConfigError::OwnPath)?;
        let runtime = [("RUNTIME_DIRECTORY", ""), ("XDG_RUNTIME_DIR", "nn-daemon")];
        let state = [("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "nn-daemon")];
        let sandbox = sandbox(&file.sandbox, cli.allow_degraded)?;
        let threads = threads(file.workers.threads, sandbox.profile)?;
        let tenants = tenants::tenants(file.tenants, &file.limits)?;
        Ok(Self {
            runtime_dir: cli
                .runtime_dir
                .or(file.runtime_dir)
                .unwrap_or_else(|| first_dir(&runtime, "/run/nn-daemon")),
            state_dir: cli
                .state_dir
                .or(file.state_dir)
                .unwrap_or_else(|| first_dir(&state, "/var/lib/nn-daemon")),
            repositories: [cli.model_repository, file.model_repository].concat(),
            end_with_stdin: cli.end_with_stdin,
            onnxruntime: file.runtimes.onnxruntime.map_or_else(
                || library::find(Framework::OnnxRuntime, &own),
                Library::named,
            ),
            openvino: file
                .runtimes
                .openvino
                .map_or_else(|| library::find(Framework::OpenVino, &own), Library::named),
            worker: program(file.workers.program, &own, "nn-worker", "program")?,
            spawner: program(file.workers.spawner, &own, "nn-spawner", "spawner")?,
            threads,
            uid_first: uid(file.workers.uid_first)?,
            isolation: file.workers.isolation,
            warm_spare: file.workers.warm_spare,
            sandbox,
            limits: file.limits,
            metrics: file.metrics.listen,
            kserve: kserve::kserve(file.kserve)?,
            remote: remote::remote(file.remote, (file.workers.relay, file.workers.dialer), &own)?,
            tenants,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<file::File>("[limits]\nsessions = 3").is_err());
    }
}
