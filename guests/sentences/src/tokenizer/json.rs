//! The part of `tokenizer.json` that matters for BERT, and the refusal of everything else.

use std::collections::HashMap;

use serde::Deserialize;
use thiserror::Error;

use super::{CONTINUATION, Rules, Tokenizer};

/// What BERT itself takes, for a file that sets no limit.
const TOKENS_MAX: usize = 512;

/// Why a file is no tokenizer for us.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// It is no JSON, or lacks what BERT's have.
    #[error("not a tokenizer.json of BERT's kind")]
    Json(#[from] serde_json::Error),
    /// It describes another kind of tokenizer.
    #[error("the tokenizer's {part} is {got}, not {expected}")]
    Part {
        /// Which key.
        part: &'static str,
        /// What it says.
        got: String,
        /// What it has to say.
        expected: &'static str,
    },
    /// It has no number for something that is needed.
    #[error("the tokenizer's vocabulary lacks {0}")]
    Token(String),
}

#[derive(Deserialize)]
struct File {
    truncation: Option<Truncation>,
    normalizer: Normalizer,
    pre_tokenizer: Typed,
    model: Model,
}

#[derive(Deserialize)]
struct Truncation {
    max_length: usize,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: String,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: HashMap<String, i64>,
}

/// Reads a `tokenizer.json`.
///
/// # Errors
/// When it is not JSON, or describes a tokenizer other than BERT's, or lacks one of the tokens this one needs.
pub fn read(json: &str) -> Result<Tokenizer<HashMap<String, i64>>, TokenizerError> {
    let File {
        truncation,
        normalizer,
        pre_tokenizer,
        model,
    } = serde_json::from_str(json)?;
    check("normalizer", normalizer.kind, "BertNormalizer")?;
    check("pre_tokenizer", pre_tokenizer.kind, "BertPreTokenizer")?;
    check("model", model.kind, "WordPiece")?;
    let continuation = model.continuing_subword_prefix;
    check("continuing_subword_prefix", continuation, CONTINUATION)?;

    let token = |name: &str| {
        model
            .vocab
            .get(name)
            .copied()
            .ok_or_else(|| TokenizerError::Token(name.to_owned()))
    };
    let rules = Rules {
        clean: normalizer.clean_text,
        split_ideographs: normalizer.handle_chinese_chars,
        // Unsaid means "as BERT does": its lower-case models have no accents either.
        strip_accents: normalizer.strip_accents.unwrap_or(normalizer.lowercase),
        lowercase: normalizer.lowercase,
        tokens_max: truncation.map_or(TOKENS_MAX, |truncation| truncation.max_length),
        word_chars_max: model.max_input_chars_per_word,
        unknown: token(&model.unk_token)?,
        start: token("[CLS]")?,
        end: token("[SEP]")?,
    };
    Ok(Tokenizer {
        vocabulary: model.vocab,
        rules,
    })
}

fn check(part: &'static str, got: String, expected: &'static str) -> Result<(), TokenizerError> {
    if got == expected {
        Ok(())
    } else {
        Err(TokenizerError::Part {
            part,
            got,
            expected,
        })
    }
}
