//! The tokenizer against what the `tokenizers` package answers (see `tests/make_tokenizer.py`).

use super::*;

const JSON: &str = include_str!("../../tests/tokenizer.json");

#[test]
fn ids_are_those_of_the_reference() {
    let expected: Vec<(String, Vec<i64>)> =
        serde_json::from_str(include_str!("../../tests/expected.json")).unwrap();
    let tokenizer = Tokenizer::from_json(JSON).unwrap();
    let got: Vec<(String, Vec<i64>)> = expected
        .iter()
        .map(|(text, _)| (text.clone(), tokenizer.encode(text)))
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn long_sentence_is_cut_and_still_ends() {
    let tokenizer = Tokenizer::from_json(JSON).unwrap();
    let ids = tokenizer.encode(&"a ".repeat(300));
    assert_eq!(ids.len(), 20);
    assert_eq!(ids.last(), Some(&tokenizer.end));
}

#[test]
fn special_token_in_a_sentence_is_text() {
    let tokenizer = Tokenizer::from_json(JSON).unwrap();
    let middle = &tokenizer.encode("[CLS]")[1..];
    assert!(!middle.contains(&tokenizer.start));
}

#[test]
fn other_kind_of_tokenizer_is_refused() {
    let json = JSON.replace("BertPreTokenizer", "ByteLevel");
    let error = Tokenizer::from_json(&json).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tokenizer's pre_tokenizer is ByteLevel, not BertPreTokenizer"
    );
}

#[test]
fn vocabulary_without_a_needed_token_is_refused() {
    let json = JSON.replace("[SEP]", "[END]");
    assert!(
        matches!(Tokenizer::from_json(&json), Err(TokenizerError::Token(token)) if token == "[SEP]")
    );
}

#[test]
fn text_that_is_not_json_is_refused() {
    assert!(matches!(
        Tokenizer::from_json("vocab.txt"),
        Err(TokenizerError::Json(_))
    ));
}
