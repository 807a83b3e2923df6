//! Which piece of a word has which number: a table that was read, or one that lies sorted in the program.

use std::collections::HashMap;

/// The numbers of pieces of words.
pub trait Pieces {
    /// The number of a piece, if it has one.
    fn id(&self, piece: &str) -> Option<i64>;
}

/// A vocabulary as text: a piece, a tab and its number a line, in the order of the pieces' bytes. It is searched where it
/// lies: a guest that lives for one request has no time to build a table of thirty thousand.
#[derive(Debug, Clone, Copy)]
pub struct Sorted {
    text: &'static str,
}

// === impl HashMap ===

impl Pieces for HashMap<String, i64> {
    fn id(&self, piece: &str) -> Option<i64> {
        self.get(piece).copied()
    }
}

// === impl Sorted ===

impl Sorted {
    /// Such a text. What is not in order in it is not found.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { text }
    }

    /// The text for a vocabulary.
    #[must_use]
    pub fn text_of(vocabulary: &HashMap<String, i64>) -> String {
        let mut pieces: Vec<_> = vocabulary.iter().collect();
        pieces.sort();
        let lines = pieces.iter().map(|(piece, id)| format!("{piece}\t{id}\n"));
        lines.collect()
    }
}

impl Pieces for Sorted {
    fn id(&self, piece: &str) -> Option<i64> {
        let mut rest = self.text.as_bytes();
        while !rest.is_empty() {
            let middle = rest.len() / 2;
            // The line that the middle is in.
            let start = rest.get(..middle)?.iter().rposition(|&byte| byte == b'\n');
            let start = start.map_or(0, |end| end + 1);
            let length = rest.get(start..)?.iter().position(|&byte| byte == b'\n')?;
            let line = rest.get(start..start + length)?;
            let tab = line.iter().rposition(|&byte| byte == b'\t')?;
            match line.get(..tab)?.cmp(piece.as_bytes()) {
                std::cmp::Ordering::Equal => {
                    return std::str::from_utf8(line.get(tab + 1..)?).ok()?.parse().ok();
                }
                std::cmp::Ordering::Less => rest = rest.get(start + length + 1..)?,
                std::cmp::Ordering::Greater => rest = rest.get(..start)?,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> HashMap<String, i64> {
        let pieces = ["a", "ab", "abc", "##s", "é", "[UNK]", "z", "zz", "\u{3042}"];
        pieces.map(str::to_owned).into_iter().zip(10..).collect()
    }

    #[test]
    fn every_piece_of_a_sorted_text_is_found_with_its_number() {
        let vocabulary = vocabulary();
        let sorted = Sorted::new(Sorted::text_of(&vocabulary).leak());
        let same = vocabulary
            .iter()
            .all(|(piece, &id)| sorted.id(piece) == Some(id));
        assert!(same, "{}", sorted.text);
    }

    #[test]
    fn what_is_between_before_and_behind_them_is_not() {
        let sorted = Sorted::new(Sorted::text_of(&vocabulary()).leak());
        let found = ["", "#", "aa", "abcd", "y", "zzz", "\u{3043}"].map(|piece| sorted.id(piece));
        assert_eq!(found, [None; 7]);
    }

    #[test]
    fn text_that_is_no_vocabulary_has_no_pieces() {
        let found = ["", "\n", "a", "a\n", "\t", "a\tb\n"].map(|text| Sorted::new(text).id("a"));
        assert_eq!(found, [None; 6]);
    }
}
