//! A sentence to words as BERT splits them: cleaned, without accents or capitals, each punctuation mark by itself.

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

use super::Rules;

/// The words of a sentence, in order.
pub(super) fn words(sentence: &str, rules: Rules) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for letter in normalise(sentence, rules).chars() {
        let alone = is_punctuation(letter);
        if (alone || letter.is_whitespace()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if alone {
            words.push(letter.to_string());
        } else if !letter.is_whitespace() {
            word.push(letter);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The order of the steps matters and is BERT's.
fn normalise(sentence: &str, rules: Rules) -> String {
    let mut text = sentence.to_owned();
    if rules.clean {
        text.retain(|letter| !is_junk(letter));
        text = text
            .chars()
            .map(|letter| if letter.is_whitespace() { ' ' } else { letter })
            .collect();
    }
    if rules.split_ideographs {
        text = split_ideographs(&text);
    }
    if rules.strip_accents {
        text = text.nfd().filter(|&letter| !is_accent(letter)).collect();
    }
    if rules.lowercase {
        text = text.chars().flat_map(char::to_lowercase).collect();
    }
    text
}

fn split_ideographs(text: &str) -> String {
    let mut split = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_ideograph(letter) {
            split.extend([' ', letter, ' ']);
        } else {
            split.push(letter);
        }
    }
    split
}

/// Control and format characters and the like. Unassigned code points stay, as in the `tokenizers` package: they only
/// make a word unknown.
fn is_junk(letter: char) -> bool {
    match letter {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        _ => {
            letter.general_category_group() == GeneralCategoryGroup::Other
                && letter.general_category() != GeneralCategory::Unassigned
        }
    }
}

fn is_accent(letter: char) -> bool {
    letter.general_category() == GeneralCategory::NonspacingMark
}

fn is_punctuation(letter: char) -> bool {
    letter.is_ascii_punctuation()
        || letter.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// The CJK blocks that BERT treats as one word a character; not Hangul, nor the Japanese syllabaries.
fn is_ideograph(letter: char) -> bool {
    matches!(
        letter,
        '\u{4e00}'..='\u{9fff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{20000}'..='\u{2a6df}'
            | '\u{2a700}'..='\u{2b73f}'
            | '\u{2b740}'..='\u{2b81f}'
            | '\u{2b920}'..='\u{2ceaf}'
            | '\u{f900}'..='\u{faff}'
            | '\u{2f800}'..='\u{2fa1f}'
    )
}
