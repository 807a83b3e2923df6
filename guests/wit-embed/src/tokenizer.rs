//! BERT's tokenizer, from the `tokenizer.json` that comes with a model: normalise, split, look up pieces of words.
//!
//! It does what the file says or refuses the file; it does not guess. One thing differs from the `tokenizers` crate on
//! purpose: the text of a special token inside a sentence (`[SEP]`) is text here, never the token.

mod json;
mod text;

use std::collections::HashMap;

pub(crate) use json::TokenizerError;

/// A vocabulary and the rules that go with it.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    vocabulary: HashMap<String, i64>,
    rules: text::Rules,
    continuation: String,
    word_chars_max: usize,
    tokens_max: usize,
    unknown: i64,
    start: i64,
    end: i64,
}

// === impl Tokenizer ===

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is not JSON, or describes a tokenizer other than BERT's, or lacks one of the tokens this one needs.
    pub(crate) fn from_json(json: &str) -> Result<Self, TokenizerError> {
        json::read(json)
    }

    /// The ids of a sentence's tokens between the start and the end token, cut to what the model takes.
    pub(crate) fn encode(&self, sentence: &str) -> Vec<i64> {
        let words = text::words(sentence, self.rules);
        let room = self.tokens_max.saturating_sub(2);
        let pieces = words.iter().flat_map(|word| self.pieces(word)).take(room);
        [self.start]
            .into_iter()
            .chain(pieces)
            .chain([self.end])
            .collect()
    }

    /// The longest known piece at the front, again and again. A word that cannot be covered is unknown as a whole.
    fn pieces(&self, word: &str) -> Vec<i64> {
        if word.chars().count() > self.word_chars_max {
            return vec![self.unknown];
        }
        let mut pieces = Vec::new();
        let mut rest = word;
        while !rest.is_empty() {
            let prefix = if pieces.is_empty() {
                ""
            } else {
                self.continuation.as_str()
            };
            let Some((id, len)) = self.longest(prefix, rest) else {
                return vec![self.unknown];
            };
            pieces.push(id);
            rest = &rest[len..];
        }
        pieces
    }

    fn longest(&self, prefix: &str, rest: &str) -> Option<(i64, usize)> {
        let mut piece = String::with_capacity(prefix.len() + rest.len());
        let ends = rest
            .char_indices()
            .map(|(start, letter)| start + letter.len_utf8());
        ends.rev().find_map(|end| {
            piece.clear();
            piece.push_str(prefix);
            piece.push_str(&rest[..end]);
            self.vocabulary.get(&piece).map(|&id| (id, end))
        })
    }
}

#[cfg(test)]
mod tests;
