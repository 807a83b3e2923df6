//! One small deed a request, chosen by its path, for tests of a host: what guests do wrong, and what they see. Unlike a
//! guest of the strict world `wasi:http/proxy` it imports wasi:cli and wasi:filesystem too, as guests in JavaScript do.

use std::fmt::Write as _;
use std::io::Write as _;

use http_guest::types::{
    ErrorCode, Fields, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use http_guest::{Answer, body, method, parameter, send, target};
use nn_guest::{Code, Failure, Outputs, Tensor, load_by_name};
use wasip2::clocks::monotonic_clock;
use wasip2::io::streams::OutputStream;

const BODY_BYTES_MAX: usize = 64 << 20;

/// A call may write so much.
const PIECE: [u8; 4096] = [b'.'; 4096];

struct Cases;

wasip2::http::proxy::export!(Cases);

// === impl Cases ===

impl wasip2::exports::http::incoming_handler::Guest for Cases {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let (path, query) = target(&request);
        // Wherever a host has put this guest, the case is the last part of the path.
        let path = path.rsplit('/').next().unwrap_or_default();
        let path = format!("/{path}");
        let number = |name| parameter(&query, name).and_then(|text| text.parse().ok());
        match path.as_str() {
            "/trap" => std::process::abort(),
            "/spin" => spin(),
            "/silent" => {}
            "/refuse" => ResponseOutparam::set(out, Err(refusal(number("bytes")))),
            "/late-trap" => begun(out, |_| std::process::abort()),
            "/after" => {
                begun(out, |_| {});
                sleep(ms(number("ms")));
            }
            "/linger" => begun(out, |_| sleep(ms(number("ms")))),
            "/stall" => begun(out, |_| sleep(u64::MAX)),
            "/infer-trap" => {
                let _held = infer(&query);
                std::process::abort()
            }
            "/infer-spin" => {
                let _held = infer(&query);
                spin()
            }
            "/infer" => send(out, &inferred(&query)),
            "/stream" => begun(out, |stream| pour(stream, number("bytes").unwrap_or(0))),
            _ => send(out, &answer(&request, &path, number)),
        }
    }
}

fn answer(
    request: &IncomingRequest,
    path: &str,
    number: impl Fn(&'static str) -> Option<u64>,
) -> Answer {
    match path {
        "/echo" => match body(request, BODY_BYTES_MAX) {
            Ok(bytes) => Answer::new(200, String::from_utf8_lossy(&bytes)),
            Err(error) => Answer::new(400, error.to_string()),
        },
        "/count" => match body(request, BODY_BYTES_MAX) {
            Ok(bytes) => Answer::new(200, bytes.len().to_string()),
            Err(error) => Answer::new(400, error.to_string()),
        },
        "/headers" => Answer::new(200, seen(request)),
        "/sleep" => {
            sleep(ms(number("ms")));
            Answer::new(200, "slept")
        }
        "/status" => Answer::new(code(number("code")), "by its number"),
        "/grow" => grow(number("mib").unwrap_or(0)),
        "/fields" => fields(number("count").unwrap_or(0), length(number("bytes"))),
        "/names" => names(length(number("bytes"))),
        "/print" => {
            println!("to stdout \u{1b}[31mred\u{7}");
            eprintln!("to stderr");
            print!("without an end");
            let _ = std::io::stdout().flush();
            Answer::new(200, "printed")
        }
        "/flood" => {
            (0..100_000).for_each(|line| println!("flood {line}"));
            Answer::new(200, "printed")
        }
        "/fetch" => Answer::new(200, fetch()),
        "/world" => Answer::new(200, world()),
        _ => Answer::new(404, "no such case"),
    }
}

/// An error in place of an answer, with a text of so many bytes if any.
fn refusal(bytes: Option<u64>) -> ErrorCode {
    match bytes {
        Some(_) => ErrorCode::InternalError(Some("x".repeat(length(bytes)))),
        None => ErrorCode::ConfigurationError,
    }
}

fn length(given: Option<u64>) -> usize {
    given.and_then(|bytes| bytes.try_into().ok()).unwrap_or(0)
}

fn code(given: Option<u64>) -> u16 {
    given.and_then(|code| code.try_into().ok()).unwrap_or(200)
}

fn spin() -> ! {
    loop {
        std::hint::black_box(());
    }
}

/// Milliseconds as nanoseconds.
fn ms(given: Option<u64>) -> u64 {
    given.unwrap_or(0).saturating_mul(1_000_000)
}

fn sleep(ns: u64) {
    monotonic_clock::subscribe_duration(ns).block();
}

/// Sends a head and the first piece, then does `rest`.
fn begun(out: ResponseOutparam, rest: impl FnOnce(&OutputStream)) {
    let response = OutgoingResponse::new(Fields::new());
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    if let Ok(stream) = body.write() {
        let _ = stream.blocking_write_and_flush(b"begun\n");
        rest(&stream);
    }
    let _ = OutgoingBody::finish(body, None);
}

/// Writes so many bytes, as fast as they are taken.
fn pour(stream: &OutputStream, bytes: u64) {
    for _ in 0..bytes.div_ceil(PIECE.len() as u64) {
        if stream.blocking_write_and_flush(&PIECE).is_err() {
            return;
        }
    }
}

/// The request as it came.
fn seen(request: &IncomingRequest) -> String {
    let mut text = format!("{}\n", method(request));
    for (name, value) in request.headers().entries() {
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(&value));
    }
    text
}

/// Takes and touches memory, a MiB at a time.
fn grow(mib: u64) -> Answer {
    let mut held: Vec<Vec<u8>> = Vec::new();
    for have in 0..mib {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(1 << 20).is_err() {
            return Answer::new(507, format!("{have} MiB"));
        }
        piece.resize(1 << 20, 1);
        held.push(piece);
    }
    Answer::new(200, format!("{} MiB", held.len()))
}

/// Holds so many sets of fields, with so many bytes in each.
fn fields(count: u64, bytes: usize) -> Answer {
    let value = vec![b'x'; bytes];
    let mut held = Vec::new();
    for _ in 0..count {
        let fields = Fields::new();
        if let Err(error) = fields.append("name", &value) {
            return Answer::new(507, error.to_string());
        }
        held.push(fields);
    }
    Answer::new(200, held.len().to_string())
}

/// Whether a request of the guest's own may have names of so many bytes.
fn names(bytes: usize) -> Answer {
    let request = OutgoingRequest::new(Fields::new());
    let name = "x".repeat(bytes);
    let path = format!("/{name}");
    let taken = [
        request.set_method(&Method::Other(name.clone())).is_ok(),
        request.set_authority(Some(&name)).is_ok(),
        request.set_path_with_query(Some(&path)).is_ok(),
    ];
    Answer::new(200, format!("{taken:?}"))
}

/// What a host says to a request of the guest's own.
fn fetch() -> String {
    let request = OutgoingRequest::new(Fields::new());
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some("localhost:1"));
    let _ = request.set_path_with_query(Some("/"));
    let future = match wasip2::http::outgoing_handler::handle(request, None) {
        Ok(future) => future,
        Err(code) => return format!("refused: {code:?}"),
    };
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => format!("answered: {}", response.status()),
        Some(Ok(Err(code))) => format!("failed: {code:?}"),
        Some(Err(())) | None => "nothing".to_owned(),
    }
}

/// One compute of a model that takes as long as it is told.
fn infer(query: &str) -> Result<Outputs, Failure> {
    let model = parameter(query, "model").unwrap_or("slow");
    let iterations = parameter(query, "iterations").and_then(|text| text.parse::<i64>().ok());
    let (iterations, value) = ([iterations.unwrap_or(1)], [1.0_f32]);
    let iterations = Tensor::new(&[], &iterations)?.named("iterations");
    let value = Tensor::new(&[1], &value)?.named("value");
    load_by_name(model)?.compute(&[iterations, value])
}

/// What became of it, as a status.
fn inferred(query: &str) -> Answer {
    let failure = match infer(query) {
        Ok(_) => return Answer::new(200, "computed"),
        Err(failure) => failure,
    };
    let text = failure.to_string();
    if failure.is_transient() {
        return Answer::new(503, text).header("retry-after", "1");
    }
    match failure.code {
        Code::NotFound => Answer::new(404, text),
        Code::Timeout => Answer::new(504, text),
        _ => Answer::new(500, text),
    }
}

/// What the guest sees of its surroundings.
fn world() -> String {
    let mut text = String::new();
    for (name, value) in wasip2::cli::environment::get_environment() {
        let _ = writeln!(text, "env {name}={value}");
    }
    for argument in wasip2::cli::environment::get_arguments() {
        let _ = writeln!(text, "arg {argument}");
    }
    for (_, path) in wasip2::filesystem::preopens::get_directories() {
        let _ = writeln!(text, "dir {path}");
    }
    text
}
