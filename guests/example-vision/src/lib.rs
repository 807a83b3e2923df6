//! A function over HTTP: POST a picture, get what it shows, as JSON. The guest decodes files; resizing, normalising and the
//! labels are the model's, by its model.toml (models/labels/efficientnet-lite0.toml).

mod raw;

use std::time::Instant;

use http_guest::types::{IncomingRequest, ResponseOutparam};
use http_guest::{Answer, body, method, send, target};
use http_json::Problem;
use nn_guest::{Code, Failure, Outputs, Tensor, describe, load_by_name};
use picture::{Picture, PictureError};
use serde::Serialize;

const PATH: &str = "/classify";

/// What site.toml lists.
const MODEL: &str = "picture-labels";

const USAGE: &str =
    "POST a JPEG or PNG file; or rows of red, green and blue bytes with ?width=W&height=H";

/// The largest body.
const BODY_BYTES_MAX: usize = 16 << 20;

/// The largest picture: decoding one takes up to fifteen bytes of a pixel, of the 256 MiB that a request has.
const PIXELS_MAX: usize = 12_000_000;

/// What a client gets.
#[derive(Debug, Serialize)]
struct Seen {
    labels: Vec<Label>,
    width: u32,
    height: u32,
    /// In the model, with the way there and back.
    infer_ms: f64,
}

/// A thing that the picture shows, and how sure the model is, from 0 to 1.
#[derive(Debug, PartialEq, Serialize)]
struct Label {
    label: String,
    score: f32,
}

struct Classify;

wasip2::http::proxy::export!(Classify);

// === impl Classify ===

impl wasip2::exports::http::incoming_handler::Guest for Classify {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let answer = answer(&request).unwrap_or_else(|problem| problem.answer());
        send(out, &answer);
    }
}

fn answer(request: &IncomingRequest) -> Result<Answer, Problem> {
    let (path, query) = target(request);
    if path != PATH {
        let hint = format!("it is at {PATH}");
        return Err(Problem::new(404, "there is nothing here", hint));
    }
    match method(request).as_str() {
        "POST" => {}
        other => return Err(Problem::method(other, "POST", USAGE)),
    }
    let file = body(request, BODY_BYTES_MAX)?;
    let picture = match raw::size(&query)? {
        Some(size) => raw::picture(size, file)?,
        None => Picture::decode(&file, PIXELS_MAX).map_err(|error| unusable(&error))?,
    };
    let begun = Instant::now();
    let labels = labels(&picture)?;
    let seen = Seen {
        labels,
        width: picture.width,
        height: picture.height,
        infer_ms: http_json::ms(begun.elapsed()),
    };
    Ok(http_json::answer(200, &seen))
}

fn labels(picture: &Picture) -> Result<Vec<Label>, Failure> {
    let input = Tensor::new(&[picture.height, picture.width, 3], &picture.rgb)?;
    read(load_by_name(MODEL)?.compute(&[input])?)
}

/// A model by that name that gives something else is this server's fault, whatever the call was that found out.
fn read(outputs: Outputs) -> Result<Vec<Label>, Failure> {
    let ours = |failure: Failure| Failure {
        code: Code::RuntimeError,
        ..failure
    };
    let [scores, _places, labels] = outputs.exactly().map_err(ours)?;
    let scores = scores.to_vec().map_err(ours)?;
    Ok(paired(&scores, &String::from_utf8_lossy(labels.bytes())))
}

fn paired(scores: &[f32], labels: &str) -> Vec<Label> {
    let pairs = labels.lines().zip(scores);
    let label = |(label, &score): (&str, _)| Label {
        label: label.to_owned(),
        score,
    };
    pairs.map(label).collect()
}

fn unusable(error: &PictureError) -> Problem {
    let said = describe(error);
    match error {
        PictureError::Format => {
            Problem::new(415, "the body is neither a JPEG nor a PNG file", USAGE)
        }
        PictureError::Size { width: 0, .. } | PictureError::Size { height: 0, .. } => {
            Problem::new(422, said, "send a picture with at least one pixel")
        }
        PictureError::Size { .. } => Problem::new(413, said, "make the picture smaller"),
        PictureError::Png(_) | PictureError::Jpeg(_) => {
            let hint = "save the picture again, or send another";
            Problem::new(422, format!("the picture cannot be read: {said}"), hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_has_its_score() {
        let labels = paired(&[0.9, 0.1], "espresso\ncup\n");
        let label = |label: &str, score| Label {
            label: label.to_owned(),
            score,
        };
        assert_eq!(labels, [label("espresso", 0.9), label("cup", 0.1)]);
    }

    #[test]
    fn what_is_wrong_with_a_file_has_a_status_of_its_own() {
        let status = |file: &[u8]| {
            let error = Picture::decode(file, 10).unwrap_err();
            unusable(&error).status
        };
        let large = include_bytes!("../../assets/coffee.jpg");
        let statuses = [
            status(b"GIF89a"),
            status(b""),
            status(b"\xff\xd8\xff\xe0"),
            status(b"\x89PNG\r\n\x1a\nand no more"),
            status(large),
        ];
        assert_eq!(statuses, [415, 415, 422, 422, 413]);
    }
}
