//! NumPy's `.npy` files: little-endian, C order, the seven dtypes of wasi-nn, nothing else; what it
//! does not take it explains. bfloat16, which NumPy lacks, is `V2`, as the `ml_dtypes` package
//! writes it. Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

// By their paths, here and below, so that the fuzz target can take this file in.
#[path = "npy/header.rs"]
mod header;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nn_tensor::{DType, Fault, Shape, ShapeError};

use header::Header;

const MAGIC: &[u8] = b"\x93NUMPY";

/// NumPy itself refuses to read longer headers unless told otherwise, in bytes.
const HEADER_BYTES_MAX: usize = 10_000;

/// The data begins at a multiple of this, in bytes.
const ALIGN: usize = 64;

/// A tensor with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Array {
    /// Element type.
    pub(crate) dtype: DType,
    /// Dimensions.
    pub(crate) shape: Shape,
    /// As long as dtype and shape ask for.
    pub(crate) bytes: Vec<u8>,
}

/// Why a file cannot be used as an input, or an output not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NpyError {
    /// The system said no.
    #[error("cannot {doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file is not what it is said to be.
    #[error("{} is not a usable .npy file", path.display())]
    Format {
        path: PathBuf,
        #[source]
        source: FormatError,
    },
}

/// What is wrong with the bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("it does not begin as .npy files do")]
    Magic,
    #[error("its header is malformed: {0}")]
    Header(&'static str),
    #[error("dtype {0}")]
    DType(String),
    #[error("big-endian dtype {0}")]
    BigEndian(String),
    #[error("Fortran order")]
    FortranOrder,
    #[error("shape {0:?}")]
    Shape(Vec<u64>),
    #[error(transparent)]
    TooLarge(#[from] ShapeError),
    #[error("{got} bytes of data")]
    Length { expected: u64, got: u64 },
}

// === impl Array ===

impl Array {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, NpyError> {
        let failed = |source| NpyError::Io {
            doing: "read",
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("not a file")));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(&bytes).map_err(|source| NpyError::Format {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads the bytes of a file.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, FormatError> {
        let (text, data) = split(file)?;
        let header = Header::parse(text)?;
        let dtype = dtype(&header.descr)?;
        if header.fortran_order {
            return Err(FormatError::FortranOrder);
        }
        let dims: Result<Vec<u32>, _> = header.shape.iter().map(|&d| u32::try_from(d)).collect();
        let shape = dims
            .ok()
            .and_then(|dims| Shape::new(&dims).ok())
            .ok_or(FormatError::Shape(header.shape))?;
        let expected = shape.byte_len(dtype)?;
        let got = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if got != expected {
            return Err(FormatError::Length { expected, got });
        }
        Ok(Self {
            dtype,
            shape,
            bytes: data.to_vec(),
        })
    }

    /// Writes a file, replacing one of the same name.
    pub(crate) fn write(&self, path: &Path) -> Result<(), NpyError> {
        let failed = |source| NpyError::Io {
            doing: "write",
            path: path.to_owned(),
            source,
        };
        let mut file = File::create(path).map_err(failed)?;
        file.write_all(&self.head()).map_err(failed)?;
        file.write_all(&self.bytes).map_err(failed)
    }

    /// Everything that stands before the data.
    fn head(&self) -> Vec<u8> {
        let header = Header {
            descr: descr(self.dtype).to_owned(),
            fortran_order: false,
            shape: self.shape.dims().iter().map(|&d| u64::from(d)).collect(),
        };
        let mut text = header.to_string();
        // Magic, version and length take 10 bytes, the line's end one.
        while !(10 + text.len() + 1).is_multiple_of(ALIGN) {
            text.push(' ');
        }
        text.push('\n');
        let length = u16::try_from(text.len()).expect("eight dimensions fit into 64 KiB");
        [MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
    }
}

/// The header's text and the data.
fn split(file: &[u8]) -> Result<(&str, &[u8]), FormatError> {
    let rest = file.strip_prefix(MAGIC).ok_or(FormatError::Magic)?;
    let (length, rest) = match rest {
        [1, _, low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => {
            let length = u32::from_le_bytes([*a, *b, *c, *d]);
            (usize::try_from(length).unwrap_or(usize::MAX), rest)
        }
        _ => return Err(FormatError::Header("unknown version")),
    };
    if length > HEADER_BYTES_MAX {
        return Err(FormatError::Header("too long"));
    }
    let (text, data) = rest
        .split_at_checked(length)
        .ok_or(FormatError::Header("cut off"))?;
    let text = std::str::from_utf8(text).map_err(|_| FormatError::Header("not UTF-8"))?;
    Ok((text, data))
}

/// NumPy's name for a dtype.
fn descr(dtype: DType) -> &'static str {
    match dtype {
        DType::Fp16 => "<f2",
        DType::Fp32 => "<f4",
        DType::Fp64 => "<f8",
        DType::Bf16 => "<V2",
        DType::U8 => "|u1",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
    }
}

fn dtype(text: &str) -> Result<DType, FormatError> {
    let kind = text.trim_start_matches(['<', '>', '=', '|']);
    let found = DType::ALL
        .into_iter()
        .find(|&dtype| descr(dtype).ends_with(kind) && kind.len() == 2);
    match found {
        // "=" is the byte order of whoever wrote it: not in a file, says the format.
        Some(_) if text.starts_with('>') && kind != "u1" && kind != "V2" => {
            Err(FormatError::BigEndian(text.to_owned()))
        }
        Some(dtype) => Ok(dtype),
        None => Err(FormatError::DType(text.to_owned())),
    }
}

// === impl NpyError ===

impl From<NpyError> for Fault {
    fn from(error: NpyError) -> Self {
        let fault = Self::invalid_argument(error.to_string());
        match error {
            NpyError::Io { source, .. } => fault.got(source.to_string()),
            NpyError::Format { source, .. } => {
                let (expected, hint) = source.advice();
                fault.expected(expected).got(source.to_string()).hint(hint)
            }
        }
    }
}

// === impl FormatError ===

impl FormatError {
    /// What would have been right, and how to get there.
    fn advice(&self) -> (String, &'static str) {
        match self {
            Self::Magic | Self::Header(_) => (
                "a file written by numpy.save".to_owned(),
                "numpy.save(path, array); .npz archives hold several arrays: save each alone",
            ),
            Self::DType(_) => (
                "dtype f2, f4, f8, u1, i4, i8, or V2 for bfloat16".to_owned(),
                "convert first: numpy.save(path, array.astype('<f4'))",
            ),
            Self::BigEndian(_) => (
                "little-endian elements".to_owned(),
                "convert first: numpy.save(path, array.astype(array.dtype.newbyteorder('<')))",
            ),
            Self::FortranOrder => (
                "C order (row-major)".to_owned(),
                "convert first: numpy.save(path, numpy.ascontiguousarray(array))",
            ),
            Self::Shape(_) => (
                format!(
                    "at most {} dimensions below 4294967296",
                    nn_tensor::RANK_MAX
                ),
                "reshape first",
            ),
            Self::TooLarge(_) => ("a tensor that memory can hold".to_owned(), ""),
            Self::Length { expected, .. } => (
                format!("{expected} bytes, as dtype and shape ask for"),
                "the file is cut off or has a tail: save it again",
            ),
        }
    }
}

#[cfg(test)]
#[path = "npy/tests.rs"]
mod tests;
