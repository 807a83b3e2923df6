//! The command line as typed: clap structs, nothing else. Names are parsed here once.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use nn_manual::Shell;
use nn_tensor::{Alias, ModelName, ModelRef, Shape, Tenant};

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 operation failed, 2 usage, 3 daemon unreachable, 4 not found, 5 refused by policy.
The socket: --socket, else NN_SOCKET, else $XDG_RUNTIME_DIR/nn-daemon/nn.sock if there, else /run/nn-daemon/nn.sock.";

/// What events may be of; docs/models.md says of each when there is one.
const KINDS: [&str; 20] = [
    "started",
    "ending",
    "stored",
    "state",
    "promoted",
    "rolled-back",
    "alias",
    "pinned",
    "unpinned",
    "unloaded",
    "crashed",
    "quarantined",
    "prepared",
    "lifted",
    "denied",
    "left-out",
    "placed",
    "fell-back",
    "endpoint",
    "lost",
];

/// Who computes a model.
const PLACEMENTS: [&str; 2] = ["local", "kserve"];

/// Loads models into nn-daemon, looks at them, tries them.
#[derive(Debug, Parser)]
#[command(name = "nnctl", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// The daemon's gRPC socket.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add the next version of a model and make it current once it answers.
    Load(Load),
    /// Take a model, or one version of it, out of service.
    Unload {
        /// NAME for every version, NAME@VERSION for one.
        #[arg(value_name = "NAME[@VERSION]")]
        model: ModelRef,
    },
    /// List every version of every model.
    List,
    /// Show what a model takes and gives, what is said of it, its state and counts.
    Describe {
        /// The current version, or the one named; every model with --markdown and no name.
        #[arg(value_name = "NAME[@VERSION]", required_unless_present = "markdown")]
        model: Option<ModelRef>,
        /// Print a page for those who write guests, in Markdown.
        #[arg(long, conflicts_with = "json")]
        markdown: bool,
    },
    /// Have NAME mean one version, which is loaded first.
    Promote {
        /// The version.
        #[arg(value_name = "NAME@VERSION|NAME:ALIAS")]
        model: ModelRef,
    },
    /// Have NAME mean again what it meant before.
    Rollback {
        /// The model.
        #[arg(value_name = "NAME")]
        model: ModelName,
    },
    /// Have NAME:ALIAS mean one version.
    Alias(AliasArgs),
    /// Keep the current version of a model loaded, whatever happens to memory.
    Pin {
        /// The model.
        #[arg(value_name = "NAME")]
        model: ModelName,
    },
    /// Let it rest again when nobody uses it and its room is wanted.
    Unpin {
        /// The model.
        #[arg(value_name = "NAME")]
        model: ModelName,
    },
    /// Have a version computed by a worker of the daemon, or by the endpoints in its model.toml.
    Place {
        /// The current version, or the one named.
        #[arg(value_name = "NAME[@VERSION]")]
        model: ModelRef,
        /// Where: local or kserve. It answers there first; what is in flight ends where it is.
        #[arg(value_parser = PLACEMENTS)]
        placement: String,
    },
    /// Compute once, from .npy files.
    Infer(Infer),
    /// Compute again and again: how many calls a second, and how long each takes.
    Bench(Bench),
    /// Show the daemon's state, sessions, limits and isolation.
    Status {
        /// Show instead what a tenant may have and has, and who sees to it; of every tenant without a name.
        #[arg(long, value_name = "NAME")]
        tenant: Option<Option<Tenant>>,
    },
    /// Show what has happened: to models, to workers, to those who were refused.
    Events(EventsArgs),
    /// Show what a model's workers have written.
    Logs {
        /// The current version, or the one named.
        #[arg(value_name = "NAME[@VERSION]")]
        model: ModelRef,
        /// Go on with what is written from now on.
        #[arg(long, short)]
        follow: bool,
    },
    /// Say what a reason in an error means, who can mend it and how; all of them without one.
    Explain {
        /// As it stands in the error: input-dtype, for one.
        #[arg(value_name = "REASON", conflicts_with = "markdown")]
        reason: Option<String>,
        /// Print docs/errors.md.
        #[arg(long, conflicts_with = "json")]
        markdown: bool,
    },
    /// Print what the daemon counts and measures, in Prometheus' text format; with --json too.
    Metrics,
    /// Have the daemon end, as SIGTERM does; return once nothing is in flight.
    Drain,
    /// Models that are refused because their workers crashed too often.
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Show what jails workers.
    #[command(subcommand)]
    Sandbox(Sandbox),
    /// Look for what is wrong with this installation, with the daemon's help or without.
    Doctor(Doctor),
    /// Print the script that completes nnctl's command line, whatever --json says.
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

/// What to do about the quarantine.
#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// Show what is refused, to whom, since when and why.
    List,
    /// Let a model be tried again; what of it had failed is started.
    Lift {
        /// A model, in every version or in one; or the first eight digits or more of its digest.
        #[arg(value_name = "NAME[@VERSION]|DIGEST")]
        which: String,
    },
}

/// What to do about the jail.
#[derive(Debug, Subcommand)]
pub(crate) enum Sandbox {
    /// Say layer by layer what holds a worker, in which order it is built, and why each part is so.
    Explain {
        /// The profile: worker-ort and worker-openvino of workers, relay of what asks remote engines, broker of the daemon itself,
        /// spawner of what starts workers, dialer of what connects to engines.
        #[arg(default_value = "worker-ort")]
        profile: String,
    },
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The daemon's configuration file to check [default: /etc/nn-daemon/nn-daemon.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The daemon's program [default: beside nnctl, else on PATH].
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) daemon: Option<PathBuf>,
}

/// Arguments of `load`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Load {
    /// The model's name.
    #[arg(value_name = "NAME")]
    pub(crate) model: ModelName,
    /// The model file: ONNX, or the XML of an OpenVINO IR, whose .bin beside it goes along. Not needed where endpoints compute
    /// the model.
    #[arg(required_unless_present_any = ["endpoints", "manifest"])]
    pub(crate) path: Option<PathBuf>,
    /// What is said of the model: a model.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// What runs the model: onnxruntime or openvino; what model.toml or the format says if not given.
    #[arg(long, value_name = "BACKEND")]
    pub(crate) backend: Option<String>,
    /// Where the model is run: cpu, the one that is offered.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Who computes it: local, a worker of the daemon, or kserve, the endpoints; what model.toml says if not given.
    #[arg(long, value_parser = PLACEMENTS)]
    pub(crate) placement: Option<String>,
    /// A remote engine that may compute it, in place of those in model.toml; may be given more than once.
    #[arg(long = "endpoint", value_name = "HOST:PORT")]
    pub(crate) endpoints: Vec<String>,
    /// Have NAME:ALIAS mean this version once it answers.
    #[arg(long)]
    pub(crate) alias: Option<Alias>,
    /// Keep the model loaded, whatever happens to memory.
    #[arg(long)]
    pub(crate) pin: bool,
    /// Leave NAME as it is: this version is reached as NAME@VERSION, and by its alias.
    #[arg(long)]
    pub(crate) stage: bool,
    /// Return once the bytes are stored; loading goes on.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// The file's format, "onnx" or "openvino-ir"; what the bytes look like if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) format: String,
    /// Give up after so many seconds, upload included.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = seconds())]
    pub(crate) timeout: u64,
}

/// Arguments of `alias`.
#[derive(Debug, Args)]
pub(crate) struct AliasArgs {
    /// The version; with --remove only the name.
    #[arg(value_name = "NAME[@VERSION]")]
    pub(crate) model: ModelRef,
    /// A lower-case letter, then up to 63 of lower-case letters, digits, '_' and '-'.
    pub(crate) alias: Alias,
    /// Take it away.
    #[arg(long)]
    pub(crate) remove: bool,
}

/// Arguments of `events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Go on with what happens from now on.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only what came after the event of this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) after: u64,
    /// Only events of that kind; may be given more than once.
    #[arg(long = "kind", value_name = "KIND", value_parser = KINDS)]
    pub(crate) kinds: Vec<String>,
    /// Only events of that model, in every version or in one.
    #[arg(long, value_name = "NAME[@VERSION]")]
    pub(crate) model: Option<ModelRef>,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The current version, or the one named.
    #[arg(value_name = "NAME[@VERSION]")]
    pub(crate) model: ModelRef,
    /// An input by its name or index, and the .npy file to take it from; made up where not given.
    #[arg(long = "input", value_name = "INPUT=FILE.npy", value_parser = input)]
    pub(crate) inputs: Vec<Input>,
    /// The shape of an input that is made up, where the model leaves it open.
    #[arg(long = "shape", value_name = "INPUT=1x3x224x224", value_parser = shape)]
    pub(crate) shapes: Vec<InputShape>,
    /// For how long.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Calls at once, each begun when the one before it is answered.
    #[arg(long, value_name = "CALLS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: u16,
    /// On whose behalf.
    #[arg(long, default_value_t)]
    pub(crate) tenant: Tenant,
    /// Give a call up after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = seconds())]
    pub(crate) timeout: u64,
}

/// Arguments of `infer`.
#[derive(Debug, Args)]
pub(crate) struct Infer {
    /// The current version, or the one named.
    #[arg(value_name = "NAME[@VERSION]")]
    pub(crate) model: ModelRef,
    /// An input by its name or index, and the .npy file to take it from; once per input.
    #[arg(long = "input", value_name = "INPUT=FILE.npy", value_parser = input)]
    pub(crate) inputs: Vec<Input>,
    /// Write each output to DIR/OUTPUT.npy.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// On whose behalf.
    #[arg(long, default_value_t)]
    pub(crate) tenant: Tenant,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = seconds())]
    pub(crate) timeout: u64,
}

/// One `--input`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// The model's name for it, or its decimal index.
    pub(crate) name: String,
    /// The file that holds it.
    pub(crate) path: PathBuf,
}

/// One `--shape`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputShape {
    /// The model's name for it, or its decimal index.
    pub(crate) name: String,
    /// What it is to have.
    pub(crate) shape: Shape,
}

fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=86_400)
}

fn input(text: &str) -> Result<Input, &'static str> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok(Input {
            name: name.to_owned(),
            path: path.into(),
        }),
        _ => Err("expected INPUT=FILE.npy, for example x=picture.npy or 0=picture.npy"),
    }
}

/// `x=1x3`; `x=` for a scalar.
fn shape(text: &str) -> Result<InputShape, &'static str> {
    const FORM: &str = "expected INPUT=DIMENSIONS, for example x=1x3x224x224, with up to 8 of them";
    // The last one: dimensions have none.
    let (name, dims) = text.rsplit_once('=').ok_or(FORM)?;
    let dims = dims.split('x').filter(|_| !dims.is_empty());
    let dims: Result<Vec<u32>, _> = dims.map(str::parse).collect();
    let shape = Shape::new(&dims.map_err(|_| FORM)?).map_err(|_| FORM)?;
    if name.is_empty() {
        return Err(FORM);
    }
    let name = name.to_owned();
    Ok(InputShape { name, shape })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_may_stand_behind_the_command() {
        let cli = Cli::try_parse_from(["nnctl", "list", "--json", "--socket", "/s"]).unwrap();
        assert_eq!((cli.json, cli.socket), (true, Some("/s".into())));
    }

    #[test]
    fn the_profile_to_explain_may_be_left_out() {
        let cli = Cli::try_parse_from(["nnctl", "sandbox", "explain"]).unwrap();
        let Command::Sandbox(Sandbox::Explain { profile }) = cli.command else {
            panic!("{cli:?}");
        };
        assert_eq!(profile, "worker-ort");
    }

    #[test]
    fn an_input_is_split_at_its_first_equals_sign() {
        assert_eq!(
            input("x=a=b.npy"),
            Ok(Input {
                name: "x".to_owned(),
                path: "a=b.npy".into()
            })
        );
    }

    #[test]
    fn a_shape_is_written_with_crosses_and_a_scalar_without() {
        let of = |dims: &[u32]| {
            Ok(InputShape {
                name: "x".to_owned(),
                shape: Shape::new(dims).unwrap(),
            })
        };
        assert_eq!(shape("x=1x3"), of(&[1, 3]));
        assert_eq!(shape("x="), of(&[]));
        assert!(
            ["=1", "x", "x=1x", "x=-1", "x=1x1x1x1x1x1x1x1x1"]
                .into_iter()
                .all(|text| shape(text).is_err())
        );
    }

    #[test]
    fn malformed_arguments_are_usage_errors() {
        let refused = [
            ["nnctl", "load", ".foo", "m.onnx"],
            ["nnctl", "describe", "foo@0", "--json"],
            ["nnctl", "infer", "foo", "--input=x"],
            ["nnctl", "infer", "foo", "--timeout=0"],
            ["nnctl", "alias", "foo@1", "Canary"],
            ["nnctl", "sandbox", "explain", "--why"],
            ["nnctl", "bench", "foo", "--shape=x=1x"],
            ["nnctl", "bench", "foo", "--concurrency=0"],
            ["nnctl", "events", "--kind", "crash"],
            ["nnctl", "place", "foo", "remote"],
        ]
        .map(|words| Cli::try_parse_from(words).unwrap_err().exit_code());
        assert_eq!(refused, [2; 10]);
    }
}
