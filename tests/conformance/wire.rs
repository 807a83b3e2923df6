//! What is said between the suite and whoever runs models for it, the guests (`guests/conform`) and `nn-alone`: calls in, answers
//! out, in lines for machines and bytes as they are. `guests/conform/src/call.rs` says how they are written.

use std::io::{self, BufRead, Read as _, Write};

use nn_tensor::DType;

/// The longest line: an answer's text.
const LINE_MAX: u64 = 64 << 10;
/// The most bytes of one tensor. The suite's largest have a tenth of it.
const TENSOR_BYTES_MAX: usize = 64 << 20;
/// No model has more inputs, or outputs.
const TENSORS_MAX: usize = 128;

/// A tensor. Of an output of a core module nobody tells type and dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: Option<DType>,
    pub(crate) dims: Option<Vec<u32>>,
    pub(crate) bytes: Vec<u8>,
}

/// Writes tensors.
pub(crate) fn tensors(to: &mut impl Write, tensors: &[Tensor]) -> io::Result<()> {
    for tensor in tensors {
        let dtype = tensor.dtype.map_or("?", DType::name);
        let dims = tensor
            .dims
            .as_deref()
            .map_or_else(|| "?".to_owned(), written);
        writeln!(to, "{dtype} {dims} {} {}", tensor.bytes.len(), tensor.name)?;
        to.write_all(&tensor.bytes)?;
    }
    Ok(())
}

fn written(dims: &[u32]) -> String {
    if dims.is_empty() {
        return "-".to_owned();
    }
    let dims: Vec<String> = dims.iter().map(u32::to_string).collect();
    dims.join("x")
}

/// Reads as many tensors as the number says.
pub(crate) fn read_tensors(from: &mut impl BufRead, count: &str) -> io::Result<Vec<Tensor>> {
    let number: Option<usize> = count.parse().ok();
    let number = number.filter(|&number| number <= TENSORS_MAX);
    let number = number.ok_or_else(|| wrong(count))?;
    (0..number).map(|_| read_tensor(from)).collect()
}

fn read_tensor(from: &mut impl BufRead) -> io::Result<Tensor> {
    let line = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let [dtype, dims, length, name] = words[..] else {
        return Err(wrong(&line));
    };
    let found = DType::ALL.into_iter().find(|known| known.name() == dtype);
    if found.is_none() && dtype != "?" {
        return Err(wrong(&line));
    }
    let dims = match dims {
        "?" => None,
        "-" => Some(Vec::new()),
        dims => Some(
            dims.split('x')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .map_err(|_| wrong(&line))?,
        ),
    };
    let length: usize = length.parse().map_err(|_| wrong(&line))?;
    if length > TENSOR_BYTES_MAX {
        return Err(wrong(&line));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(Tensor {
        name: name.to_owned(),
        dtype: found,
        dims,
        bytes,
    })
}

/// One line without its end; `None` where there is none any more.
pub(crate) fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    from.by_ref().take(LINE_MAX).read_line(&mut line)?;
    Ok((!line.is_empty()).then(|| line.trim_end_matches('\n').to_owned()))
}

/// What came is not what was to come.
pub(crate) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected: {what:?}"))
}
