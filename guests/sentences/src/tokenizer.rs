//! BERT's tokenizer, from the `tokenizer.json` that comes with a model: normalise, split, look up pieces of words.
//!
//! It does what the file says or refuses the file; it does not guess. One thing differs from the `tokenizers` crate on
//! purpose: the text of a special token inside a sentence (`[SEP]`) is text here, never the token.

mod json;
mod text;

use crate::vocabulary::Pieces;

pub use json::{TokenizerError, read};

/// What a piece begins with that is not the first of its word.
const CONTINUATION: &str = "##";

/// A vocabulary and the rules that go with it.
#[derive(Debug)]
pub struct Tokenizer<V> {
    /// The pieces of words.
    pub vocabulary: V,
    /// The rest.
    pub rules: Rules,
}

/// What a tokenizer does besides looking pieces up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether control characters go and every white space is a blank.
    pub clean: bool,
    /// Whether each ideograph is a word of its own.
    pub split_ideographs: bool,
    /// Whether letters lose their accents.
    pub strip_accents: bool,
    /// Whether letters become small.
    pub lowercase: bool,
    /// A longer word is unknown as a whole.
    pub word_chars_max: usize,
    /// What a model takes of one sentence.
    pub tokens_max: usize,
    /// The number of what the vocabulary lacks.
    pub unknown: i64,
    /// The number of what comes first.
    pub start: i64,
    /// The number of what comes last.
    pub end: i64,
}

// === impl Tokenizer ===

impl<V: Pieces> Tokenizer<V> {
    /// The ids of a sentence's tokens between the start and the end token, cut to what the model takes.
    #[must_use]
    pub fn encode(&self, sentence: &str) -> Vec<i64> {
        let words = text::words(sentence, self.rules);
        let room = self.rules.tokens_max.saturating_sub(2);
        let pieces = words.iter().flat_map(|word| self.pieces(word)).take(room);
        [self.rules.start]
            .into_iter()
            .chain(pieces)
            .chain([self.rules.end])
            .collect()
    }

    /// The longest known piece at the front, again and again. A word that cannot be covered is unknown as a whole.
    fn pieces(&self, word: &str) -> Vec<i64> {
        if word.chars().count() > self.rules.word_chars_max {
            return vec![self.rules.unknown];
        }
        let mut pieces = Vec::new();
        let mut rest = word;
        while !rest.is_empty() {
            let prefix = if pieces.is_empty() { "" } else { CONTINUATION };
            let Some((id, len)) = self.longest(prefix, rest) else {
                return vec![self.rules.unknown];
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
            self.vocabulary.id(&piece).map(|id| (id, end))
        })
    }
}

#[cfg(test)]
mod tests;
