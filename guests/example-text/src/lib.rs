//! A function over HTTP: POST a sentence and others, get how near each of them is in meaning, as JSON. The model is a BERT-like
//! sentence encoder; its tokenizer is built in.

mod question;

use std::time::Instant;

use http_guest::types::{IncomingRequest, ResponseOutparam};
use http_guest::{Answer, body, header, method, send, target};
use http_json::Problem;
use nn_guest::{Code, Failure, Outputs, Tensor, load_by_name};
use sentences::{Batch, Rules, Sorted, Tokenizer, cosine};
use serde::Serialize;

use crate::question::{BODY_BYTES_MAX, Question};

const PATH: &str = "/similarity";

/// What site.toml lists.
const MODEL: &str = "minilm-l6-int8";

const USAGE: &str =
    r#"POST {"query": "a sentence", "texts": ["another", "and another"]} as application/json"#;

const TOKENIZER: Tokenizer<Sorted> = Tokenizer {
    vocabulary: Sorted::new(include_str!(concat!(env!("OUT_DIR"), "/vocabulary.txt"))),
    rules: include!(concat!(env!("OUT_DIR"), "/rules.rs")),
};

/// What a client gets: the nearest first.
#[derive(Debug, Serialize)]
struct Compared {
    similarities: Vec<Similarity>,
    /// In the model, with the way there and back.
    infer_ms: f64,
}

/// How near a text is to the query, from -1 to 1.
#[derive(Debug, PartialEq, Serialize)]
struct Similarity {
    text: String,
    score: f32,
    /// Which of the texts it was, from 0.
    index: usize,
}

struct Compare;

wasip2::http::proxy::export!(Compare);

// === impl Compare ===

impl wasip2::exports::http::incoming_handler::Guest for Compare {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let answer = answer(&request).unwrap_or_else(|problem| problem.answer());
        send(out, &answer);
    }
}

fn answer(request: &IncomingRequest) -> Result<Answer, Problem> {
    let (path, _query) = target(request);
    if path != PATH {
        let hint = format!("it is at {PATH}");
        return Err(Problem::new(404, "there is nothing here", hint));
    }
    match method(request).as_str() {
        "POST" => {}
        other => return Err(Problem::method(other, "POST", USAGE)),
    }
    if !question::is_json(&header(request, "content-type")) {
        return Err(Problem::new(
            415,
            "the body is not said to be application/json",
            USAGE,
        ));
    }
    let question = Question::parse(&body(request, BODY_BYTES_MAX)?)?;
    let begun = Instant::now();
    let vectors = vectors(&question)?;
    let infer_ms = http_json::ms(begun.elapsed());
    let similarities = ranked(question.texts, &vectors);
    Ok(http_json::answer(
        200,
        &Compared {
            similarities,
            infer_ms,
        },
    ))
}

/// A vector for the query, and one for each text.
fn vectors(question: &Question) -> Result<Vec<Vec<f32>>, Failure> {
    let texts = std::iter::once(&question.query).chain(&question.texts);
    let batch = Batch::new(texts.map(|text| TOKENIZER.encode(text)));
    let dimensions = batch.dimensions();
    let types = vec![0_i64; batch.ids.len()];
    let inputs = [
        Tensor::new(&dimensions, &batch.ids)?.named("input_ids"),
        Tensor::new(&dimensions, &batch.mask)?.named("attention_mask"),
        Tensor::new(&dimensions, &types)?.named("token_type_ids"),
    ];
    pooled(&batch, load_by_name(MODEL)?.compute(&inputs)?)
}

/// A model by that name that gives something else is this server's fault, whatever the call was that found out.
fn pooled(batch: &Batch, outputs: Outputs) -> Result<Vec<Vec<f32>>, Failure> {
    let ours = |text: String| Failure {
        code: Code::RuntimeError,
        text,
    };
    let output = outputs.take(0).map_err(|failure| ours(failure.text))?;
    let values = output.values().map_err(|failure| ours(failure.text))?;
    let dimensions = output.dims().unwrap_or_default();
    batch
        .pool(dimensions, &values)
        .map_err(|error| ours(error.to_string()))
}

fn ranked(texts: Vec<String>, vectors: &[Vec<f32>]) -> Vec<Similarity> {
    let Some((query, others)) = vectors.split_first() else {
        return Vec::new();
    };
    let scored = texts.into_iter().zip(others).enumerate();
    let similarity = |(index, (text, vector)): (usize, (String, &Vec<f32>))| Similarity {
        text,
        score: cosine(query, vector),
        index,
    };
    let mut ranked: Vec<Similarity> = scored.map(similarity).collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_first_and_knows_its_place() {
        let texts = ["far", "same"].map(str::to_owned).to_vec();
        let vectors = [vec![1.0, 0.0], vec![0.0, 1.0], vec![2.0, 0.0]];
        let ranked = ranked(texts, &vectors);
        let places: Vec<usize> = ranked.iter().map(|similarity| similarity.index).collect();
        assert_eq!(places, [1, 0]);
        assert_eq!((ranked[0].text.as_str(), ranked[0].score), ("same", 1.0));
    }

    #[test]
    fn the_built_in_vocabulary_knows_words_and_what_it_does_not() {
        // 101 and 102 are [CLS] and [SEP], 100 is [UNK].
        let ids = TOKENIZER.encode("A man eats \u{10000}.");
        assert_eq!(ids, [101, 1037, 2158, 20323, 100, 1012, 102]);
    }
}
