//! The guest that answers HTTP in the benches: nothing at all, or one inference with an input that it makes, or that input alone.
//! The model is one that the host has by name, or, on a host that shows a directory, a file whose bytes the guest brings.

use std::hint::black_box;

use http_guest::types::{IncomingRequest, ResponseOutparam};
use http_guest::{Answer, parameter, send, target};
use nn_guest::{Code, Encoding, Failure, Model, Target, Tensor, load, load_by_name};
use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};

/// The largest input, in numbers.
const ELEMENTS_MAX: u32 = 16 << 20;

/// The largest file.
const FILE_BYTES_MAX: usize = 256 << 20;

/// What one call reads.
const PIECE_BYTES: u64 = 1 << 20;

/// Every number of an input.
const FILL: f32 = 0.5;

struct BenchHttp;

wasip2::http::proxy::export!(BenchHttp);

// === impl BenchHttp ===

impl wasip2::exports::http::incoming_handler::Guest for BenchHttp {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let (path, query) = target(&request);
        let answer = match path.as_str() {
            "/nothing" => Answer::new(200, "nothing"),
            "/input" => {
                told(input(&query).map(|(dims, values)| format!("{} {}", dims.len(), values.len())))
            }
            "/infer" => told(infer(&query, |query| load_by_name(asked(query, "model")?))),
            "/load" => told(infer(&query, |query| {
                let bytes = read(asked(query, "file")?)?;
                load(&[bytes], Encoding::Onnx, Target::Cpu)
            })),
            _ => Answer::new(404, "there are /nothing, /input, /infer and /load"),
        };
        send(out, &answer);
    }
}

/// One inference: how long its output is, and a sum of its bits, so that two hosts can be held against each other.
fn infer(
    query: &str,
    model: impl FnOnce(&str) -> Result<Model, Failure>,
) -> Result<String, Failure> {
    let model = model(query)?;
    let (dims, values) = input(query)?;
    let outputs = model.compute(&[Tensor::new(&dims, &values)?])?;
    let output: Vec<f32> = outputs.take(0)?.to_vec()?;
    Ok(format!("{} {:016x}", output.len(), checksum(&output)))
}

/// Dimensions and numbers, which the compiler may not leave out although nobody reads them.
fn input(query: &str) -> Result<(Vec<u32>, Vec<f32>), Failure> {
    let dims = dims(asked(query, "shape")?)?;
    let values = vec![FILL; dims.iter().product::<u32>() as usize];
    Ok((dims, black_box(values)))
}

fn told(result: Result<String, Failure>) -> Answer {
    match result {
        Ok(text) => Answer::new(200, text),
        Err(failure) if failure.is_transient() => Answer::new(503, failure.to_string()),
        Err(failure) => Answer::new(500, failure.to_string()),
    }
}

fn asked<'a>(query: &'a str, name: &str) -> Result<&'a str, Failure> {
    parameter(query, name).ok_or_else(|| wrong(format!("no {name} is asked for")))
}

fn wrong(text: impl Into<String>) -> Failure {
    Failure {
        code: Code::InvalidArgument,
        text: text.into(),
    }
}

/// `1x3x224x224`
fn dims(text: &str) -> Result<Vec<u32>, Failure> {
    let dims: Result<Vec<u32>, _> = text.split('x').map(str::parse).collect();
    let dims = dims.map_err(|_| wrong("a shape is numbers with an x between them"))?;
    let elements = dims
        .iter()
        .try_fold(1_u32, |all, &dim| all.checked_mul(dim));
    if elements.is_some_and(|elements| elements <= ELEMENTS_MAX) {
        return Ok(dims);
    }
    Err(wrong(format!("more than {ELEMENTS_MAX} numbers")))
}

/// A file of the first directory that the host shows.
fn read(name: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error| wrong(format!("{name}: {error:?}"));
    let directories = preopens::get_directories();
    let (directory, _) = directories.first().ok_or_else(|| wrong("no directory"))?;
    let file = directory
        .open_at(
            PathFlags::empty(),
            name,
            OpenFlags::empty(),
            DescriptorFlags::READ,
        )
        .map_err(failed)?;
    let length = usize::try_from(file.stat().map_err(failed)?.size).unwrap_or(usize::MAX);
    if length > FILE_BYTES_MAX {
        return Err(wrong(format!(
            "{name} has more than {FILE_BYTES_MAX} bytes"
        )));
    }
    let mut bytes = Vec::with_capacity(length);
    loop {
        let (piece, is_end) = file.read(PIECE_BYTES, bytes.len() as u64).map_err(failed)?;
        if bytes.len() + piece.len() > FILE_BYTES_MAX {
            return Err(wrong(format!("{name} grows")));
        }
        bytes.extend_from_slice(&piece);
        if is_end || piece.is_empty() {
            return Ok(bytes);
        }
    }
}

/// FNV-1a over the numbers' bits.
fn checksum(values: &[f32]) -> u64 {
    values.iter().fold(0xcbf2_9ce4_8422_2325, |sum, value| {
        (sum ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_numbers_and_not_too_many() {
        assert_eq!(dims("1x3x224x224").unwrap(), [1, 3, 224, 224]);
        let wrong = ["", "1x", "ax1", "65536x65536", "16777217"];
        assert!(wrong.iter().all(|text| dims(text).is_err()));
    }

    #[test]
    fn what_is_busy_is_told_apart_from_what_failed() {
        let failure = |text: &str| Failure {
            code: Code::RuntimeError,
            text: text.to_owned(),
        };
        let status = |text| told(Err(failure(text))).status;
        assert_eq!(status("busy: the queue is full"), 503);
        assert_eq!(status("the model failed"), 500);
    }
}
