//! The tokenizer against what the `tokenizers` package answers (see `tests/make_tokenizer.py`).

use super::*;
use crate::vocabulary::Sorted;

const JSON: &str = include_str!("../../tests/tokenizer.json");

#[test]
fn ids_are_those_of_the_reference() {
    let expected: Vec<(String, Vec<i64>)> =
        serde_json::from_str(include_str!("../../tests/expected.json")).unwrap();
    let tokenizer = read(JSON).unwrap();
    let got: Vec<(String, Vec<i64>)> = expected
        .iter()
        .map(|(text, _)| (text.clone(), tokenizer.encode(text)))
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn long_sentence_is_cut_and_still_ends() {
    let tokenizer = read(JSON).unwrap();
    let ids = tokenizer.encode(&"a ".repeat(300));
    assert_eq!(ids.len(), 20);
    assert_eq!(ids.last(), Some(&tokenizer.rules.end));
}

#[test]
fn special_token_in_a_sentence_is_text() {
    let tokenizer = read(JSON).unwrap();
    let middle = &tokenizer.encode("[CLS]")[1..];
    assert!(!middle.contains(&tokenizer.rules.start));
}

#[test]
fn other_kind_of_tokenizer_is_refused() {
    let json = JSON.replace("BertPreTokenizer", "ByteLevel");
    let error = read(&json).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tokenizer's pre_tokenizer is ByteLevel, not BertPreTokenizer"
    );
}

#[test]
fn vocabulary_without_a_needed_token_is_refused() {
    let json = JSON.replace("[SEP]", "[END]");
    assert!(matches!(read(&json), Err(TokenizerError::Token(token)) if token == "[SEP]"));
}

#[test]
fn text_that_is_not_json_is_refused() {
    assert!(matches!(read("vocab.txt"), Err(TokenizerError::Json(_))));
}

#[test]
fn a_sorted_vocabulary_gives_the_same_tokens_as_a_table() {
    let table = read(JSON).unwrap();
    let text = Sorted::text_of(&table.vocabulary);
    let sorted = Tokenizer {
        vocabulary: Sorted::new(text.leak()),
        rules: table.rules,
    };
    let sentence = "A man is eating unaffable crème brûlée in Istanbul, 東京.";
    assert_eq!(sorted.encode(sentence), table.encode(sentence));
}
