//! Compares sentences by meaning: `wit-embed [--tokenizer PATH] MODEL [SENTENCE...]`.
//!
//! It serves one family of models, BERT-like sentence encoders (`all-MiniLM-L6-v2` and its kin): three integer inputs,
//! one vector a token, and the mean of those as the sentence's vector.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use nn_guest::{Tensor, describe, load_by_name};
use sentences::{Batch, cosine, read};
use thiserror::Error;

const USAGE: &str = "usage: wit-embed [--tokenizer PATH] MODEL [SENTENCE SENTENCE...]

  MODEL             the name of a model as its host knows it: NAME, NAME@VERSION or NAME:ALIAS
  SENTENCE          two or more; without them, three built-in ones
  --tokenizer PATH  the model's tokenizer.json, in a directory that the host lets this guest see
                    (default: /data/tokenizer.json)

Prints the cosine of every pair of sentences: 1 for the same meaning, about 0 for unrelated ones.";

const DEFAULT_TOKENIZER: &str = "/data/tokenizer.json";
const DEFAULT_SENTENCES: [&str; 3] = [
    "A man is eating food.",
    "Someone is having a meal.",
    "The central bank raised interest rates.",
];

#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    tokenizer: String,
    model: String,
    sentences: Vec<String>,
}

#[derive(Debug, Error)]
#[error("cannot read {path}")]
struct ReadError {
    path: String,
    source: std::io::Error,
}

fn main() -> ExitCode {
    let raw: Vec<String> = std::env::args().skip(1).collect();
    if matches!(raw.as_slice(), [help] if help == "--help" || help == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(arguments) = Arguments::parse(raw) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match compare(&arguments) {
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

fn compare(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let path = &arguments.tokenizer;
    let json = std::fs::read_to_string(path).map_err(|source| ReadError {
        path: path.clone(),
        source,
    })?;
    let tokenizer = read(&json)?;
    let batch = Batch::new(
        arguments
            .sentences
            .iter()
            .map(|sentence| tokenizer.encode(sentence)),
    );

    let dimensions = batch.dimensions();
    let types = vec![0_i64; batch.ids.len()];
    let outputs = load_by_name(&arguments.model)?.compute(&[
        Tensor::new(&dimensions, &batch.ids)?.named("input_ids"),
        Tensor::new(&dimensions, &batch.mask)?.named("attention_mask"),
        Tensor::new(&dimensions, &types)?.named("token_type_ids"),
    ])?;
    let output = outputs.take(0)?;
    let vectors = batch.pool(output.dims().unwrap_or_default(), &output.values::<f32>()?)?;
    Ok(cosines(&arguments.sentences, &vectors))
}

/// The cosine of each pair of vectors, one a line, with the two sentences.
fn cosines(sentences: &[String], vectors: &[Vec<f32>]) -> String {
    let mut lines = String::new();
    for (index, (left, a)) in sentences.iter().zip(vectors).enumerate() {
        for (right, b) in sentences.iter().zip(vectors).skip(index + 1) {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{:.3}  {left} | {right}", cosine(a, b));
        }
    }
    lines
}

// === impl Arguments ===

impl Arguments {
    /// `None` for what the usage text does not describe.
    fn parse(raw: Vec<String>) -> Option<Self> {
        let mut tokenizer = DEFAULT_TOKENIZER.to_owned();
        let mut rest = raw.into_iter().peekable();
        while rest
            .peek()
            .is_some_and(|argument| argument == "--tokenizer")
        {
            rest.next();
            tokenizer = rest.next()?;
        }
        let model = rest.next().filter(|model| !model.starts_with('-'))?;
        let mut sentences: Vec<String> = rest.collect();
        if sentences.is_empty() {
            sentences = DEFAULT_SENTENCES.map(str::to_owned).to_vec();
        }
        (sentences.len() >= 2).then_some(Self {
            tokenizer,
            model,
            sentences,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Option<Arguments> {
        Arguments::parse(
            arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
        )
    }

    #[test]
    fn model_alone_gets_the_built_in_sentences() {
        let arguments = parse(&["minilm"]).unwrap();
        assert_eq!(arguments.sentences, DEFAULT_SENTENCES);
        assert_eq!(arguments.tokenizer, DEFAULT_TOKENIZER);
    }

    #[test]
    fn tokenizer_path_is_taken() {
        let arguments = parse(&["--tokenizer", "t.json", "minilm", "a", "b"]).unwrap();
        assert_eq!(arguments.tokenizer, "t.json");
        assert_eq!(arguments.sentences, ["a", "b"]);
    }

    #[test]
    fn one_sentence_has_no_pair() {
        assert_eq!(parse(&["minilm", "lonely"]), None);
    }

    #[test]
    fn unknown_option_is_refused() {
        assert_eq!(parse(&["--vocabulary", "minilm"]), None);
    }

    #[test]
    fn each_pair_is_printed_once() {
        let sentences = ["a", "b", "c"].map(str::to_owned);
        let vectors = [vec![1.0, 0.0], vec![2.0, 0.0], vec![0.0, 3.0]];
        assert_eq!(
            cosines(&sentences, &vectors),
            "1.000  a | b\n0.000  a | c\n0.000  b | c\n"
        );
    }
}
