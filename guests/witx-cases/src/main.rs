//! The guest for tests once more, as a core module of the older ABI: `wasi_ephemeral_nn`.
//!
//! Lines and cases are those of `wit-cases` as far as the ABI has what they need. It calls the interface's functions by
//! `nn_guest::core_module::ffi`, so that it can send the numbers of any header.

mod case;
mod dialect;
mod nn;

use std::process::ExitCode;

use cases::{SpecError, table};
use thiserror::Error;

use crate::dialect::Dialect;
use crate::nn::{Nn, Refused};

const USAGE: &str = "usage: witx-cases [--dialect 0.6|0.5|0.4|wasmedge] CASE ...

  run MODEL COUNT INPUT...          set inputs, compute and read outputs, COUNT times in one context
  loop MODEL COUNT INPUT...         the same, but one line in the end: how many different replies, and the last
  bytes MODEL INDEX DTYPE DIMS LEN  compute with one input of LEN bytes, whatever DIMS say
  trap MODEL COUNT INPUT...         as run, then trap
  hold MODEL SECONDS INPUT...       compute once for each line of stdin, for SECONDS (0: until it ends) in the context
                                    opened first; the lines `context` and `load` renew that and the graph, `quit` ends
  noname NAME...                    load_by_name of each
  load-bytes FILE[,FILE] [ENCODING [TARGET]] [INPUT...]
                                    load the bytes (onnx, cpu), and compute once if there are inputs
  handles GRAPH CONTEXT             every function that takes a handle, with these numbers
  numbers MODEL                     every number there may be for a type, an encoding and a target
  spin                              loop for ever
  alloc MIB                         take and touch that much memory

  INPUT  INDEX=DTYPE:DIMS:FILL; any other name than a number stands for the argument's place
  DTYPE  fp16 fp32 fp64 u8 i32 i64
  DIMS   2x3, or scalar for no dimensions at all
  FILL   a number; ramp (0 1 2 …); seed:N (any bytes); unit:N, lcg:N (floating point from 0 up to 1)
";

/// Why a run ends early.
#[derive(Debug, Error)]
enum Stop {
    /// The arguments make no case.
    #[error("{0}")]
    Usage(String),
    /// The host refused a call, or could not be asked.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Something else went wrong, under a code of this program's own.
    #[error("error {code} {text}")]
    Own { code: &'static str, text: String },
    /// What went wrong stands in a line already.
    #[error("reported")]
    Reported,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Usage(reason)) => {
            eprintln!("error: {reason}\n\n{USAGE}\n{}", table::USAGE);
            ExitCode::from(2)
        }
        Err(Stop::Reported) => ExitCode::FAILURE,
        Err(stop) => {
            println!("{stop}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Stop> {
    let (dialect, arguments) = match arguments {
        ["--dialect", name, rest @ ..] => {
            let unknown = || Stop::Usage(format!("{name} is not a dialect"));
            (Dialect::parse(name).ok_or_else(unknown)?, rest)
        }
        all => (Dialect::V06, all),
    };
    case::run(Nn { dialect }, arguments)
}

impl Stop {
    /// A file, or stdin, that cannot be read.
    fn io(what: &str, error: &std::io::Error) -> Self {
        Self::Own {
            code: "io",
            text: format!("{what}: {error}"),
        }
    }
}

impl From<SpecError> for Stop {
    fn from(error: SpecError) -> Self {
        Self::Usage(error.to_string())
    }
}
