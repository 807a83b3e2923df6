//! What the guests of the benches share: commands from stdin, a timed loop, answers to stdout.
//!
//! One line in, one line out; the answer is `ok …` or `error TEXT`. The guest stays between two commands, so that whoever
//! drives it can let several ways of inference take turns.
//!
//! | command | answer |
//! |---|---|
//! | `use MODEL INPUT DIMS OUT_BYTES` | gets the model by name and opens a context; `ok NS`, how long that took. DIMS as in `1x3x224x224` |
//! | `run N` | `ok NS…`: how long each of N calls took, input from guest memory to output in guest memory |
//! | `check` | one call; `ok FNV`, of the output's bytes (FNV-1a, 64 bits, hexadecimal) |
//! | `load FILE` | hands over a model's bytes and opens a context; `ok NS`, without reading the file. Both are dropped |
//! | `clock N` | `ok NS…`: how long reading the clock takes, which is part of every `run` |
//! | `quit` | none |

use std::borrow::Cow;
use std::fmt::Display;
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::time::Instant;

use thiserror::Error;

/// What the input is filled with: element `i` is `i % PERIOD / PERIOD`.
const PERIOD: u16 = 251;

/// The most calls of one `run`.
const CALLS_MAX: usize = 100_000;

/// A model's input, in the guest's memory.
#[derive(Debug)]
pub struct Input {
    /// Its name; the older interface counts instead.
    pub name: String,
    /// Its dimensions.
    pub dims: Vec<u32>,
    /// Its elements, f32, little-endian.
    pub bytes: Vec<u8>,
    /// How many bytes the output will have.
    pub out_bytes: usize,
}

/// One of the two interfaces, with the model that is in use.
pub trait Abi {
    /// Gets a model by name and opens a context, in place of the one before.
    ///
    /// # Errors
    /// What the host answers.
    fn open_named(&mut self, name: &str, input: &Input) -> Result<(), BenchError>;

    /// Loads a model from its bytes and opens a context; gives both back.
    ///
    /// # Errors
    /// What the host answers.
    fn open_bytes(&mut self, model: Vec<u8>) -> Result<(), BenchError>;

    /// One call: the input from the guest's memory, the output to it.
    ///
    /// # Errors
    /// What the host answers.
    fn call(&mut self, input: &Input) -> Result<(), BenchError>;

    /// The bytes of the last output.
    fn output(&self) -> Cow<'_, [u8]>;
}

/// Why a command has no answer.
#[derive(Debug, Error)]
pub enum BenchError {
    /// No such command, or wrong arguments.
    #[error("not a command: {0}")]
    Command(String),
    /// The host refused a call.
    #[error("{0}")]
    Host(String),
    /// A file or a stream.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A call before `use`.
    #[error("no model is in use")]
    Idle,
}

/// Obeys stdin until it ends.
///
/// # Errors
/// When stdin or stdout fails; what a command ran into is its answer.
pub fn serve(abi: &mut impl Abi) -> io::Result<()> {
    let mut input = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.trim() == "quit" {
            break;
        }
        let answer = match obey(abi, &mut input, &line) {
            Ok(answer) => format!("ok {answer}\n"),
            Err(error) => format!("error {}\n", error.to_string().replace('\n', " ")),
        };
        let mut out = io::stdout().lock();
        out.write_all(answer.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

fn obey(abi: &mut impl Abi, current: &mut Option<Input>, line: &str) -> Result<String, BenchError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["use", model, name, dims, out_bytes] => {
            let input = Input::parse(name, dims, out_bytes).ok_or_else(|| unknown(line))?;
            let begun = Instant::now();
            abi.open_named(model, &input)?;
            *current = Some(input);
            Ok(begun.elapsed().as_nanos().to_string())
        }
        ["run", count] => {
            let count = number(count).ok_or_else(|| unknown(line))?;
            let input = current.as_ref().ok_or(BenchError::Idle)?;
            time(count, || abi.call(input))
        }
        ["check"] => {
            let input = current.as_ref().ok_or(BenchError::Idle)?;
            abi.call(input)?;
            Ok(format!("{:016x}", fnv(&abi.output())))
        }
        ["load", file] => {
            let model = fs::read(file)?;
            let begun = Instant::now();
            abi.open_bytes(model)?;
            Ok(begun.elapsed().as_nanos().to_string())
        }
        ["clock", count] => time(number(count).ok_or_else(|| unknown(line))?, || Ok(())),
        _ => Err(unknown(line)),
    }
}

fn unknown(line: &str) -> BenchError {
    BenchError::Command(line.to_owned())
}

fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|&count| count <= CALLS_MAX)
}

/// One reading of the clock a call: the end of one is the beginning of the next.
fn time(
    count: usize,
    mut call: impl FnMut() -> Result<(), BenchError>,
) -> Result<String, BenchError> {
    let mut times = Vec::with_capacity(count);
    let mut before = Instant::now();
    for _ in 0..count {
        call()?;
        let now = Instant::now();
        times.push(now.duration_since(before));
        before = now;
    }
    let words: Vec<String> = times
        .iter()
        .map(|time| time.as_nanos().to_string())
        .collect();
    Ok(words.join(" "))
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What a host said, as an error of the guest.
pub fn refused(error: impl Display) -> BenchError {
    BenchError::Host(error.to_string())
}

// === impl Input ===

impl Input {
    fn parse(name: &str, dims: &str, out_bytes: &str) -> Option<Self> {
        let dims: Vec<u32> = dims
            .split('x')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        let count = dims.iter().try_fold(1_usize, |count, &dim| {
            count.checked_mul(usize::try_from(dim).ok()?)
        })?;
        let bytes = (0..PERIOD)
            .cycle()
            .take(count)
            .flat_map(|i| (f32::from(i) / f32::from(PERIOD)).to_le_bytes())
            .collect();
        Some(Self {
            name: name.to_owned(),
            dims,
            bytes,
            out_bytes: out_bytes.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo(Vec<u8>);

    impl Abi for Echo {
        fn open_named(&mut self, _: &str, input: &Input) -> Result<(), BenchError> {
            self.0 = vec![0; input.out_bytes];
            Ok(())
        }

        fn open_bytes(&mut self, _: Vec<u8>) -> Result<(), BenchError> {
            Err(refused("no bytes"))
        }

        fn call(&mut self, input: &Input) -> Result<(), BenchError> {
            self.0.copy_from_slice(&input.bytes);
            Ok(())
        }

        fn output(&self) -> Cow<'_, [u8]> {
            Cow::Borrowed(&self.0)
        }
    }

    #[test]
    fn a_run_has_as_many_times_as_calls() {
        let (mut abi, mut input) = (Echo(Vec::new()), None);
        obey(&mut abi, &mut input, "use m x 2x3 24").unwrap();
        let times = obey(&mut abi, &mut input, "run 5").unwrap();
        assert_eq!(times.split(' ').count(), 5);
    }

    #[test]
    fn a_call_before_any_model_is_refused() {
        let answer = obey(&mut Echo(Vec::new()), &mut None, "run 5");
        assert!(matches!(answer, Err(BenchError::Idle)));
    }

    #[test]
    fn a_line_that_is_no_command_is_named() {
        let answer = obey(&mut Echo(Vec::new()), &mut None, "use m x 2xy 24");
        assert_eq!(
            answer.unwrap_err().to_string(),
            "not a command: use m x 2xy 24"
        );
    }
}
