//! Completions: a script for each shell, as text.

use clap::{Command, ValueEnum};
use clap_complete::aot;

/// A shell that completions are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash, with its package bash-completion.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

// === impl Shell ===

impl Shell {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bash, Self::Zsh, Self::Fish];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// The file that it looks for, for a program of this name.
    #[must_use]
    pub fn file_of(self, program: &str) -> String {
        match self {
            Self::Bash => program.to_owned(),
            Self::Zsh => format!("_{program}"),
            Self::Fish => format!("{program}.fish"),
        }
    }
}

/// The script that completes a program's command line.
#[must_use]
pub fn completion(command: &Command, shell: Shell) -> String {
    let generator = match shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
    };
    let mut script = Vec::new();
    let program = command.get_name().to_owned();
    aot::generate(generator, &mut command.clone(), program, &mut script);
    // Made of names and help of ours, which are UTF-8.
    String::from_utf8_lossy(&script).into_owned()
}
