//! A guest for tests: one small deed a run, reported on stdout in lines for machines.
//!
//! Every line is `ok …` or `error CODE TEXT`; the same run over the same model prints the same bytes. Nothing here is
//! clever on purpose: what the host does is what a test sees.

mod case;
mod report;
mod tensors;

use std::process::ExitCode;

use cases::{SpecError, table};
use nn_guest::Failure;
use thiserror::Error;

const USAGE: &str = "usage: wit-cases CASE ...

  run MODEL COUNT INPUT...          compute COUNT times in one context; a line for each output of each
  loop MODEL COUNT INPUT...         the same, but one line in the end: how many different replies, and the last
  bytes MODEL NAME DTYPE DIMS LEN   compute with one input of LEN bytes, whatever DIMS say
  leak MODEL COUNT INPUT...         compute until COUNT output tensors are held, then read them all; drops none
  trap MODEL COUNT INPUT...         the same, then trap
  hold MODEL SECONDS INPUT...       compute once for each line of stdin, for SECONDS (0: until it ends) in the context
                                    opened first; the lines `context` and `load` renew that and the graph, `quit` ends
  noname NAME...                    load_by_name of each
  load-bytes FILE[,FILE] [ENCODING [TARGET]] [INPUT...]
                                    load the bytes (onnx, cpu), and compute once if there are inputs
  tensor                            make tensors of every type and many shapes before any graph, read them back
  spin                              loop for ever
  alloc MIB                         take and touch that much memory

  INPUT  NAME=DTYPE:DIMS:FILL
  DTYPE  fp16 fp32 fp64 bf16 u8 i32 i64
  DIMS   2x3, or scalar for no dimensions at all
  FILL   a number; ramp (0 1 2 …); seed:N (any bytes); unit:N, lcg:N (floating point from 0 up to 1)
";

/// Why a run ends early.
#[derive(Debug, Error)]
enum Stop {
    /// The arguments make no case.
    #[error("{0}")]
    Usage(String),
    /// The host refused a call.
    #[error("{}", report::failure(.0))]
    Failed(#[from] Failure),
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
    match case::run(&arguments) {
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
