//! The command line as written. What it means is `config.rs`'s business.

use std::path::PathBuf;

use clap::Parser;

/// Owns models, and runs each in a worker process of its own, for WebAssembly hosts on this machine.
#[derive(Clone, Debug, Parser)]
#[command(name = "nn-daemon", version)]
pub struct Cli {
    /// Configuration file (TOML); every key has a default.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where the sockets go [default: $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/nn-daemon, /run/nn-daemon].
    #[arg(long, value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,

    /// Where uploaded models are kept [default: $STATE_DIRECTORY, $XDG_STATE_HOME/nn-daemon,
    /// /var/lib/nn-daemon].
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// A directory of models NAME/VERSION/model.onnx to serve from; may be given again.
    #[arg(long, value_name = "DIR")]
    pub model_repository: Vec<PathBuf>,

    /// End when standard input does: for a program that starts a daemon of its own, which is not to outlive
    /// it however it ends.
    #[arg(long)]
    pub end_with_stdin: bool,

    /// Start workers even where this machine cannot give all that their profile requires. What is missing is
    /// said at every start, and by `nnctl status`.
    #[arg(long)]
    pub allow_degraded: bool,

    /// Check the configuration and leave.
    #[arg(long)]
    pub check: bool,

    /// Print the configuration that results from flags, environment and file, and leave.
    #[arg(long)]
    pub print_config: bool,

    /// Log more: once for every request, twice for every frame.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Cli {
    /// The level that `-v` asks for.
    #[must_use]
    pub fn log_level(&self) -> tracing::Level {
        match self.verbose {
            0 => tracing::Level::INFO,
            1 => tracing::Level::DEBUG,
            2.. => tracing::Level::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
