//! The command line of a classifying guest, from arguments to exit code.

use std::error::Error;
use std::process::ExitCode;

use cases::Fnv;

use crate::{answer, read};

const USAGE: &str = "  MODEL   the name of a model as its host knows it: NAME, NAME@VERSION or NAME:ALIAS; or, with a `/` in it, an ONNX file
          that the host lets this guest see
  IMAGE   a PNG or JPEG file that the host lets this guest see; without it, a built-in picture of a cup of coffee
  LABELS  a text file with the name of class N in line N + 1; without it, ImageNet's thousand

  --fill lcg:N   in place of a picture, numbers of a generator that any language can write
  --checksum     print the FNV-1a (64 bits) of the output's bytes, and no labels

Prints the five likeliest classes: rank, class, probability, label.";

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Model {
    /// The host has it, under this name.
    Name(String),
    /// The guest brings its bytes, from this path.
    File(String),
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    model: Model,
    fill: Option<String>,
    image: Option<String>,
    labels: Option<String>,
    checksum: bool,
}

/// A whole classifying guest, but for calling the host: `infer` gives the model these numbers of [`crate::SHAPE`] as its
/// first input and returns the bytes of its first output, of fp32.
#[must_use]
pub fn main(
    program: &str,
    infer: impl FnOnce(&Model, &[f32]) -> Result<Vec<u8>, Box<dyn Error>>,
) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage =
        format!("usage: {program} [--fill lcg:N] [--checksum] MODEL [IMAGE] [LABELS]\n\n{USAGE}");
    if matches!(arguments.as_slice(), [help] if help == "--help" || help == "-h") {
        println!("{usage}");
        return ExitCode::SUCCESS;
    }
    let Some(options) = Options::parse(arguments) else {
        eprintln!("{usage}");
        return ExitCode::from(2);
    };
    match classify(&options, infer) {
        Ok(lines) => {
            print!("{lines}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn classify(
    options: &Options,
    infer: impl FnOnce(&Model, &[f32]) -> Result<Vec<u8>, Box<dyn Error>>,
) -> Result<String, Box<dyn Error>> {
    let labels = read::labels(options.labels.as_deref())?;
    let values = match &options.fill {
        Some(fill) => read::fill(fill)?,
        None => read::picture(options.image.as_deref())?,
    };
    let output = infer(&options.model, &values)?;
    if options.checksum {
        return Ok(format!("{}\n", Fnv::of(&output)));
    }
    let (elements, _rest) = output.as_chunks();
    let probabilities: Vec<f32> = elements
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    Ok(answer::top_five(&probabilities, &labels)?)
}

/// The message of an error and of everything that caused it, as one line. Some crates' messages tell the cause already.
fn describe(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

// === impl Options ===

impl Options {
    /// `None` for arguments that make no sense.
    fn parse(arguments: Vec<String>) -> Option<Self> {
        let (mut fill, mut checksum, mut plain) = (None, false, Vec::new());
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--fill" => fill = Some(arguments.next()?),
                "--checksum" => checksum = true,
                flag if flag.starts_with("--") => return None,
                _ => plain.push(argument),
            }
        }
        let mut plain = plain.into_iter();
        let options = Self {
            model: Model::parse(plain.next()?),
            fill,
            image: plain.next(),
            labels: plain.next(),
            checksum,
        };
        // Numbers in place of a picture, or a picture; and nothing more.
        let both = options.fill.is_some() && options.image.is_some();
        (!both && plain.next().is_none()).then_some(options)
    }
}

// === impl Model ===

impl Model {
    /// No name holds a slash.
    fn parse(argument: String) -> Self {
        if argument.contains('/') {
            Self::File(argument)
        } else {
            Self::Name(argument)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Told {
        #[error("failed")]
        Apart(#[source] std::io::Error),
        #[error("failed: {0}")]
        Within(#[source] std::io::Error),
    }

    #[test]
    fn cause_is_told_once() {
        let cause = || std::io::Error::other("no disk");
        assert_eq!(describe(&Told::Apart(cause())), "failed: no disk");
        assert_eq!(describe(&Told::Within(cause())), "failed: no disk");
    }

    fn parse(arguments: &[&str]) -> Option<Options> {
        Options::parse(arguments.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn model_is_a_name_or_with_a_slash_a_file() {
        assert_eq!(
            parse(&["foo@3"]).unwrap().model,
            Model::Name("foo@3".to_owned())
        );
        assert_eq!(
            parse(&["/data/foo.onnx"]).unwrap().model,
            Model::File("/data/foo.onnx".to_owned())
        );
    }

    #[test]
    fn flags_may_stand_anywhere() {
        let options = parse(&["foo", "--checksum", "--fill", "lcg:7"]).unwrap();
        assert!(options.checksum);
        assert_eq!(options.fill.as_deref(), Some("lcg:7"));
    }

    #[test]
    fn picture_and_fill_exclude_each_other() {
        assert_eq!(parse(&["--fill", "lcg:7", "foo", "cup.png"]), None);
    }

    #[test]
    fn too_few_and_too_many_arguments_are_refused() {
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&["a", "b", "c", "d"]), None);
        assert_eq!(parse(&["--fill"]), None);
        assert_eq!(parse(&["--unknown", "a"]), None);
    }
}
