//! The command line as it is written. `Config` gives it meaning.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use nn_host_shim::witx::Dialect;

/// Runs WebAssembly guests that infer (wasi-nn) through nn-daemon.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Says more on stderr; with run, twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs one guest, a wasi:cli component or a WASI preview 1 module, to its end; its exit code becomes
    /// nn-host's.
    Run(RunArgs),
    /// Answers HTTP/1.1 and HTTP/2 (without TLS) by guests, components of the world wasi:http/proxy: a fresh instance
    /// for each request. SIGHUP reads the configuration and the guests again; SIGTERM lets requests in flight finish.
    Serve(ServeArgs),
}

/// Which nn-daemon to use.
#[derive(Clone, Debug, Args)]
pub(crate) struct DaemonArgs {
    /// Socket of the nn-daemon to use [default: $NN_SOCKET, $XDG_RUNTIME_DIR/nn-daemon/nn.sock,
    /// /run/nn-daemon/nn.sock].
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    /// Starts a private nn-daemon in a temporary directory, and stops it at the end.
    #[arg(long, conflicts_with = "socket")]
    pub(crate) spawn_daemon: bool,

    /// With --spawn-daemon: a directory of models NAME/VERSION/model.onnx to serve from; may be given
    /// again.
    #[arg(long, value_name = "DIR", requires = "spawn_daemon")]
    pub(crate) model_repository: Vec<PathBuf>,

    /// With --spawn-daemon: run models even where this machine cannot jail them as it should.
    #[arg(long, requires = "spawn_daemon")]
    pub(crate) allow_degraded: bool,
}

/// Where machine code is kept.
#[derive(Clone, Debug, Args)]
pub(crate) struct CacheArgs {
    /// Where guests' machine code is kept between runs [default: $CACHE_DIRECTORY,
    /// $XDG_CACHE_HOME/nn-host, ~/.cache/nn-host].
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Compiles the guest anew, and keeps nothing.
    #[arg(long, conflicts_with = "cache_dir")]
    pub(crate) no_cache: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,

    /// On whose behalf the guest infers.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) tenant: String,

    /// Gives the guest a directory, under a name of its own if wanted; may be given again.
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    pub(crate) dirs: Vec<String>,

    /// Sets a variable in the guest's environment; without value, passes nn-host's on. May be given again.
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// The most linear memory the guest may have, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    pub(crate) memory_max: usize,

    /// How long the guest may run, in seconds [default: without end].
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,

    /// How long one compute may take, in seconds.
    #[arg(long, value_name = "SECS", value_parser = seconds, default_value = "30")]
    pub(crate) compute_timeout: Duration,

    /// How a core module numbers wasi-nn's types: 0.6, 0.5 and 0.4 are the versions of the Rust crate
    /// wasi-nn that guests are built with, wasmedge is what WasmEdge's guests have.
    #[arg(long, value_name = "DIALECT", default_value_t = Dialect::default(), value_parser = dialect)]
    pub(crate) witx_dialect: Dialect,

    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// The guest, a component or a core module as binary or text, and its arguments: all that follows is
    /// the guest's.
    #[arg(value_names = ["GUEST.wasm", "ARGS"], required = true, trailing_var_arg = true)]
    pub(crate) guest: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,

    /// Where to listen; port 0 takes any that is free, which the log then tells. A socket inherited from a
    /// service manager goes before it.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// A file with settings, and with routes if there is more than one guest; what flags say goes before it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// On whose behalf the guest infers [default: default].
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,

    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// The guest for every request, a component as binary or text. Not with a file that has routes.
    #[arg(value_name = "GUEST.wasm")]
    pub(crate) guest: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "not a length of time".to_owned())
}

fn dialect(text: &str) -> Result<Dialect, String> {
    text.parse().map_err(|error| format!("{error}"))
}

// === impl Cli ===

impl Cli {
    /// The log level that the flags ask for.
    pub(crate) fn log_level(&self) -> tracing::Level {
        match (&self.command, self.verbose) {
            (Command::Run(_), 0) => tracing::Level::ERROR,
            (Command::Run(_), 1) | (Command::Serve(_), 0) => tracing::Level::INFO,
            (Command::Run(_), 2..) | (Command::Serve(_), 1..) => tracing::Level::DEBUG,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run(args: &[&str]) -> Result<RunArgs, clap::Error> {
        let words = ["nn-host", "run"].iter().chain(args);
        Cli::try_parse_from(words).map(|cli| {
            let Command::Run(args) = cli.command else {
                panic!("run was asked for")
            };
            args
        })
    }

    #[test]
    fn serve_takes_an_address_and_no_name() {
        let parse =
            |listen| Cli::try_parse_from(["nn-host", "serve", "--listen", listen, "g.wasm"]);
        assert!(parse("[::1]:0").is_ok());
        assert!(parse("localhost:80").is_err());
        assert!(parse("127.0.0.1").is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_guest_is_the_guests() {
        let args = run(&["--tenant", "a", "g.wasm", "--help", "--tenant", "b"]).unwrap();
        assert_eq!(args.tenant, "a");
        assert_eq!(args.guest, ["g.wasm", "--help", "--tenant", "b"]);
    }

    #[test]
    fn a_misspelt_flag_is_no_guest() {
        assert!(run(&["--tenat", "a", "g.wasm"]).is_err());
        assert!(run(&[]).is_err());
    }

    #[test]
    fn a_socket_and_a_private_daemon_exclude_each_other() {
        assert!(run(&["--socket", "s", "--spawn-daemon", "g.wasm"]).is_err());
    }

    #[test]
    fn the_dialect_is_that_of_the_newest_crate_unless_another_is_named() {
        assert_eq!(run(&["g.wasm"]).unwrap().witx_dialect, Dialect::default());
        let older = run(&["--witx-dialect", "0.5", "g.wasm"]).unwrap();
        assert_ne!(older.witx_dialect, Dialect::default());
        assert!(run(&["--witx-dialect", "0.7", "g.wasm"]).is_err());
    }

    #[test]
    fn a_timeout_of_nothing_is_refused() {
        assert!(run(&["--timeout", "0", "g.wasm"]).is_err());
        assert!(run(&["--timeout", "-1", "g.wasm"]).is_err());
        let args = run(&["--timeout", "0.5", "g.wasm"]).unwrap();
        assert_eq!(args.timeout, Some(Duration::from_millis(500)));
    }
}
