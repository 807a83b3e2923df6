//! What is said between the suite and its guest. A call is
//!
//! ```text
//! MODEL COUNT
//! DTYPE DIMS LENGTH NAME     COUNT times, each followed by LENGTH bytes
//! ```
//!
//! and its answer `ok COUNT`, with outputs written as inputs are, or `error STAGE TEXT`. DIMS are `2x3`, or `-` for none. A tensor
//! without a name goes by its place. What the interface does not tell of an output, its type and its dimensions, is `?`.

use std::io::{self, BufRead, Read as _, Write};

use nn_guest::{DType, Failure, Outputs, Tensor};

/// The longest line: a name and some numbers.
const LINE_MAX: u64 = 4 << 10;
/// The most that one call brings in one tensor. The suite's largest have a tenth of it.
const TENSOR_BYTES_MAX: usize = 64 << 20;
/// No model has more.
const INPUTS_MAX: usize = 128;

/// A model, and what goes into it.
pub(crate) struct Call {
    pub(crate) model: String,
    pub(crate) inputs: Vec<Tensor<'static>>,
}

// === impl Call ===

impl Call {
    /// The next call; `None` where there is none any more.
    ///
    /// # Errors
    /// When what came is no call.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(line) = line(from)? else {
            return Ok(None);
        };
        let (model, count) = line.split_once(' ').ok_or_else(|| wrong(&line))?;
        let count: usize = count.parse().map_err(|_| wrong(&line))?;
        if count > INPUTS_MAX {
            return Err(wrong(&line));
        }
        let inputs: io::Result<Vec<_>> = (0..count).map(|_| input(from)).collect();
        Ok(Some(Self {
            model: model.to_owned(),
            inputs: inputs?,
        }))
    }
}

/// One line without its end.
fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    from.by_ref().take(LINE_MAX).read_line(&mut line)?;
    Ok((!line.is_empty()).then(|| line.trim_end_matches('\n').to_owned()))
}

fn wrong(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{line:?} is no call"))
}

fn input(from: &mut impl BufRead) -> io::Result<Tensor<'static>> {
    let line = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().ok_or_else(|| wrong(&line));
    let dtype: DType = word()?.parse().map_err(|_| wrong(&line))?;
    let dims = match word()? {
        "-" => Ok(Vec::new()),
        dims => dims.split('x').map(str::parse).collect::<Result<_, _>>(),
    };
    let dims: Vec<u32> = dims.map_err(|_| wrong(&line))?;
    let len: usize = word()?.parse().map_err(|_| wrong(&line))?;
    let name = word()?;
    if len > TENSOR_BYTES_MAX {
        return Err(wrong(&line));
    }
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes)?;
    let tensor = Tensor::from_bytes(dtype, &dims, bytes).map_err(|_| wrong(&line))?;
    Ok(if name.is_empty() {
        tensor
    } else {
        tensor.named(name)
    })
}

/// Says what came out.
pub(crate) fn answer(to: &mut impl Write, outputs: &Outputs) -> io::Result<()> {
    writeln!(to, "ok {}", outputs.len())?;
    for output in outputs {
        let dtype = output.dtype().map_or("?", DType::name);
        let dims = output.dims().map_or_else(|| "?".to_owned(), written);
        let name = output.name().unwrap_or_default();
        writeln!(to, "{dtype} {dims} {} {name}", output.bytes().len())?;
        to.write_all(output.bytes())?;
    }
    to.flush()
}

/// Says why nothing did.
pub(crate) fn refuse(to: &mut impl Write, stage: &str, failure: &Failure) -> io::Result<()> {
    let text = failure.to_string().replace('\n', " ");
    writeln!(to, "error {stage} {text}")?;
    to.flush()
}

fn written(dims: &[u32]) -> String {
    if dims.is_empty() {
        return "-".to_owned();
    }
    let dims: Vec<String> = dims.iter().map(u32::to_string).collect();
    dims.join("x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_with_its_bytes_names_and_scalars() {
        let mut from: &[u8] = b"abs 2\nu8 1x2 2 the name\n\n\nfp16 - 2 \n12abs 0\n";
        let call = Call::read(&mut from).unwrap().unwrap();
        let told: Vec<_> = call
            .inputs
            .iter()
            .map(|input| (input.name(), input.dims(), input.bytes()))
            .collect();
        let two = (Some("the name"), Some(&[1, 2][..]), &b"\n\n"[..]);
        assert_eq!(told, [two, (None, Some(&[][..]), b"12")]);
        assert!(Call::read(&mut from).unwrap().unwrap().inputs.is_empty());
        assert!(Call::read(&mut from).unwrap().is_none());
    }

    #[test]
    fn what_is_no_call_is_said_to_be_none() {
        let wrong = [
            "abs",
            "abs many",
            "abs 129",
            "abs 1\n",
            "abs 1\nu8 2 2 \n1",
            "abs 1\nu8 3 2 \n12",
            "abs 1\nbool 2 2 \n12",
        ];
        let read = wrong.map(|text| Call::read(&mut text.as_bytes()).is_err());
        assert_eq!(read, [true; 7]);
    }
}
