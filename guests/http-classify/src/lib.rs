//! Answers over HTTP what a picture shows, as a component of the world `wasi:http/proxy`: a POST with a PNG or JPEG gives
//! the five likeliest classes, `espresso 0.940` a line.

use http_guest::types::{IncomingRequest, ResponseOutparam};
use http_guest::{Answer, BodyError, body, method, parameter, send, target};
use nn_guest::{Code, Failure, Tensor, describe, load_by_name};
use picture::{Likely, SHAPE, likeliest, planes};

const MODEL: &str = "efficientnet-lite0";

/// The largest file.
const FILE_BYTES_MAX: usize = 16 << 20;

/// The largest picture: decoding takes seven bytes of a pixel.
const PIXELS_MAX: usize = 12_000_000;

const USAGE: &str =
    "POST a PNG or JPEG picture to /, and get the five likeliest classes with their probabilities.
The model is efficientnet-lite0; another of its kind is asked for by /?model=NAME.

  curl --data-binary @coffee.jpg http://HOST:PORT/
";

struct Classify;

wasip2::http::proxy::export!(Classify);

// === impl Classify ===

impl wasip2::exports::http::incoming_handler::Guest for Classify {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let answer = answer(&request).unwrap_or_else(|answer| answer);
        send(out, &answer);
    }
}

fn answer(request: &IncomingRequest) -> Result<Answer, Answer> {
    let (path, query) = target(request);
    if path != "/" {
        return Err(Answer::new(404, "there is only /"));
    }
    match method(request).as_str() {
        "GET" | "HEAD" => return Ok(Answer::new(200, USAGE)),
        "POST" => {}
        other => {
            let text = format!("{other} is not understood; POST a picture");
            return Err(Answer::new(405, text).header("allow", "GET, HEAD, POST"));
        }
    }
    let model = parameter(&query, "model").unwrap_or(MODEL);
    let file = body(request, FILE_BYTES_MAX).map_err(|error| unread(&error))?;
    let values = planes(&file, PIXELS_MAX).map_err(|error| {
        let text = format!("the picture cannot be used: {}", describe(&error));
        Answer::new(400, text)
    })?;
    let output = infer(model, &values).map_err(|failure| failed(&failure))?;
    let classes = likeliest(&output)
        .map_err(|error| Answer::new(500, format!("the model {model} does not fit: {error}")))?;
    Ok(Answer::new(200, lines(&classes)))
}

/// The likelihood of each class. An input that the model refuses is the client's to mend, by another `?model=`; an answer that
/// cannot be read is this server's.
fn infer(model: &str, values: &[f32]) -> Result<Vec<f32>, Failure> {
    let outputs = load_by_name(model)?.compute(&[Tensor::new(&SHAPE, values)?])?;
    let output = outputs.take(0).and_then(|output| output.to_vec());
    output.map_err(|failure| Failure {
        code: Code::RuntimeError,
        ..failure
    })
}

fn lines(classes: &[Likely<'_>]) -> String {
    let line = |class: &Likely<'_>| format!("{} {:.3}\n", class.label, class.probability);
    classes.iter().map(line).collect()
}

fn unread(error: &BodyError) -> Answer {
    let status = match error {
        BodyError::Broken => 400,
        BodyError::TooLarge { .. } => 413,
    };
    Answer::new(status, error.to_string())
}

/// What the host said no to, as a status: what the client can do about it, if anything.
fn failed(failure: &Failure) -> Answer {
    let answer = |status| Answer::new(status, failure.to_string());
    if failure.is_transient() {
        return answer(503).header("retry-after", "1");
    }
    match failure.code {
        Code::NotFound => answer(404),
        Code::InvalidArgument => answer(400),
        Code::TooLarge => answer(413),
        Code::Timeout => answer(504),
        Code::Security => answer(403),
        Code::RuntimeError | Code::InvalidEncoding | Code::UnsupportedOperation | Code::Unknown => {
            answer(500)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: Code, text: &str) -> u16 {
        let text = text.to_owned();
        failed(&Failure { code, text }).status
    }

    #[test]
    fn what_passes_may_be_tried_again_and_what_does_not_is_an_error() {
        let busy = "busy: the queue is full";
        assert_eq!(status(Code::RuntimeError, busy), 503);
        assert_eq!(status(Code::RuntimeError, "the model failed"), 500);
        assert_eq!(status(Code::NotFound, "there is no model x"), 404);
    }

    #[test]
    fn a_class_is_its_label_and_its_probability() {
        let class = Likely {
            class: 967,
            probability: 0.9402,
            label: "espresso",
        };
        assert_eq!(lines(&[class]), "espresso 0.940\n");
    }
}
