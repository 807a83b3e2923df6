//! Blanks comments and literals of Rust text, so that a word found in the rest is code.
//!
//! Not a parser: it knows where comments, strings and characters begin and end, and no more. Lines keep their numbers.

/// What the scanner is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    LineComment,
    BlockComment { depth: u32 },
    Text,
    RawText { hashes: usize },
}

/// The text with everything but code replaced by spaces.
pub(crate) fn only(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut inside = Inside::Code;
    let mut at = 0;
    while at < characters.len() {
        let rest = characters.get(at..).unwrap_or_default();
        let (next, width) = step(inside, rest, characters.get(at.wrapping_sub(1)).copied());
        let keep = inside == Inside::Code && next == Inside::Code && width == 1;
        for character in rest.iter().take(width) {
            out.push(if keep || *character == '\n' {
                *character
            } else {
                ' '
            });
        }
        inside = next;
        at += width;
    }
    out
}

/// What comes after, and how many characters that takes.
fn step(inside: Inside, rest: &[char], previous: Option<char>) -> (Inside, usize) {
    match (inside, rest) {
        (Inside::Code, ['/', '/', ..]) => (Inside::LineComment, 2),
        (Inside::Code, ['/', '*', ..]) => (Inside::BlockComment { depth: 1 }, 2),
        (Inside::Code, ['"', ..]) => (Inside::Text, 1),
        (Inside::Code, ['r', '"' | '#', ..])
            if !previous.is_some_and(is_word) || previous == Some('b') =>
        {
            let hashes = rest
                .iter()
                .skip(1)
                .take_while(|found| **found == '#')
                .count();
            match rest.get(hashes + 1) {
                Some('"') => (Inside::RawText { hashes }, hashes + 2),
                Some(_) | None => (Inside::Code, 1),
            }
        }
        // A lifetime has no closing quote right after its first letter.
        (Inside::Code, ['\'', '\\', ..]) => {
            let length = rest
                .iter()
                .skip(3)
                .take_while(|found| **found != '\'')
                .count();
            (Inside::Code, length + 4)
        }
        (Inside::Code, ['\'', _, '\'', ..]) => (Inside::Code, 3),
        (Inside::LineComment, ['\n', ..]) => (Inside::Code, 1),
        (Inside::BlockComment { depth }, ['/', '*', ..]) => {
            (Inside::BlockComment { depth: depth + 1 }, 2)
        }
        (Inside::BlockComment { depth: 1 }, ['*', '/', ..]) => (Inside::Code, 2),
        (Inside::BlockComment { depth }, ['*', '/', ..]) => {
            (Inside::BlockComment { depth: depth - 1 }, 2)
        }
        (Inside::Text, ['\\', _, ..]) => (Inside::Text, 2),
        (Inside::Text, ['"', ..]) => (Inside::Code, 1),
        (Inside::RawText { hashes }, ['"', after @ ..])
            if after
                .iter()
                .take(hashes)
                .filter(|found| **found == '#')
                .count()
                == hashes =>
        {
            (Inside::Code, hashes + 1)
        }
        (inside, _) => (inside, 1),
    }
}

/// Whether a line holds a word, whole.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, found)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line
            .get(start + found.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_unsafe(text: &str) -> bool {
        has_word(&only(text), "unsafe")
    }

    #[test]
    fn word_in_code_is_found() {
        assert!(has_unsafe("let a = 'x'; unsafe { f() }"));
        assert!(has_unsafe("fn f<'a>(a: &'a str) { unsafe {} }"));
        assert!(has_unsafe("#[unsafe(no_mangle)]"));
        assert!(has_unsafe(r#"f("\""); unsafe {}"#));
        assert!(has_unsafe("let a = '\\''; unsafe {}"));
        assert!(has_unsafe("r#type; unsafe {}"));
    }

    #[test]
    fn word_in_comment_or_literal_is_not_found() {
        assert!(!has_unsafe("// unsafe"));
        assert!(!has_unsafe("/* a /* b */ unsafe */"));
        assert!(!has_unsafe("\"unsafe\""));
        assert!(!has_unsafe("r#\"a \" unsafe\"#"));
        assert!(!has_unsafe("br\"unsafe\""));
    }

    #[test]
    fn part_of_a_longer_word_is_not_found() {
        assert!(!has_unsafe("#![expect(unsafe_code, reason = \"\")]"));
    }

    #[test]
    fn lines_keep_their_numbers() {
        assert_eq!(only("a /*\n\n*/ b").lines().count(), 3);
    }
}
