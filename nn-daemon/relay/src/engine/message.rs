//! The messages of the Open Inference Protocol that a relay sends and reads. Those that it sends hold a call's tensors as
//! they are, copied once, out of their slots; those that it reads are looked at where they lie.

use std::borrow::Cow;

use bytes::Bytes;
use nn_tensor::{DType, RANK_MAX, Shape, TENSORS_MAX, TensorName};

use super::protobuf::{Field, Fields, Malformed, Numbers, Writer};

/// What stands before a message of gRPC: whether it is compressed, and its length.
pub const PREFIX_BYTES: usize = 5;

/// An input of a call, without its bytes.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: TensorName,
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
    /// How many bytes there are.
    pub bytes: usize,
}

/// Why there is no message.
#[derive(Debug, PartialEq, Eq)]
pub enum NoRequest<E> {
    /// It would have so many bytes.
    TooLong(usize),
    /// The bytes of an input did not come.
    Bytes(E),
}

/// What an engine says of a model.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// At most 128.
    pub inputs: Vec<TensorMetadata<'a>>,
    /// At most 128.
    pub outputs: Vec<TensorMetadata<'a>>,
}

/// What it says of a tensor.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TensorMetadata<'a> {
    /// Its name.
    pub name: &'a str,
    /// `FP32`, …
    pub datatype: &'a str,
    /// Its dimensions; below 0: any number.
    pub dims: Vec<i64>,
}

/// An answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Response<'a> {
    /// At most 128.
    pub outputs: Vec<Output<'a>>,
    /// Their bytes, or nothing.
    pub raw: Vec<&'a [u8]>,
}

/// An output of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output<'a> {
    /// What it is.
    pub tensor: TensorMetadata<'a>,
    /// Its elements as a list of their type, where they came so.
    contents: Option<&'a [u8]>,
}

/// The name of an element type in this protocol.
#[must_use]
pub fn datatype(dtype: DType) -> &'static str {
    match dtype {
        DType::Fp16 => "FP16",
        DType::Fp32 => "FP32",
        DType::Fp64 => "FP64",
        DType::Bf16 => "BF16",
        DType::U8 => "UINT8",
        DType::I32 => "INT32",
        DType::I64 => "INT64",
    }
}

/// The element type of that name, if it is one of ours.
#[must_use]
pub fn dtype(datatype_of: &str) -> Option<DType> {
    let mut all = DType::ALL.into_iter();
    all.find(|&dtype| datatype(dtype) == datatype_of)
}

/// Asks whether a model is ready, or for its metadata: both take a name and a version.
#[must_use]
pub fn about(model: &str, version: &str) -> Bytes {
    let mut message = Writer::default();
    message.bytes(1, model.as_bytes());
    message.bytes(2, version.as_bytes());
    framed(message.into_bytes())
}

fn framed(message: Vec<u8>) -> Bytes {
    let mut all = prefix(message.len()).to_vec();
    all.extend(message);
    all.into()
}

fn prefix(len: usize) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    [0, a, b, c, d]
}

/// A call, ready to be sent. `fill` copies the bytes of the input of that number to where they belong.
pub fn infer<E>(
    (model, version): (&str, &str),
    inputs: &[Input],
    bytes_max: usize,
    mut fill: impl FnMut(usize, &mut [u8]) -> Result<(), E>,
) -> Result<Bytes, NoRequest<E>> {
    let mut head = Writer::default();
    head.bytes(1, model.as_bytes());
    head.bytes(2, version.as_bytes());
    for input in inputs {
        let mut tensor = Writer::default();
        tensor.bytes(1, input.name.as_str().as_bytes());
        tensor.bytes(2, datatype(input.dtype).as_bytes());
        tensor.packed(3, input.shape.dims().iter().map(|&dim| u64::from(dim)));
        head.message(5, &tensor.into_bytes());
    }
    let head = head.into_bytes();
    let heads: Vec<Vec<u8>> = inputs.iter().map(raw_head).collect();
    let pairs = heads.iter().zip(inputs);
    let len = pairs.fold(head.len(), |len, (head, input)| {
        len.saturating_add(head.len()).saturating_add(input.bytes)
    });
    if len > bytes_max || u32::try_from(len).is_err() {
        return Err(NoRequest::TooLong(len));
    }
    let mut message = vec![0; len.saturating_add(PREFIX_BYTES)];
    let mut rest = put(&mut message, &prefix(len));
    rest = put(rest, &head);
    for (index, (head, input)) in heads.iter().zip(inputs).enumerate() {
        rest = put(rest, head);
        // As long as was counted above.
        let (place, behind) = rest
            .split_at_mut_checked(input.bytes)
            .ok_or(NoRequest::TooLong(len))?;
        fill(index, place).map_err(NoRequest::Bytes)?;
        rest = behind;
    }
    Ok(message.into())
}

fn raw_head(input: &Input) -> Vec<u8> {
    let mut head = Writer::default();
    head.head(7, input.bytes);
    head.into_bytes()
}

/// Copies to the beginning, and gives what is behind.
fn put<'a>(to: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let (place, rest) = to.split_at_mut(bytes.len().min(to.len()));
    if place.len() == bytes.len() {
        place.copy_from_slice(bytes);
    }
    rest
}

/// Whether a model is ready.
pub fn ready(message: &[u8]) -> Result<bool, Malformed> {
    let mut ready = false;
    for field in Fields::of(message) {
        if let (1, Field::Number(number)) = field? {
            ready = number != 0;
        }
    }
    Ok(ready)
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    str::from_utf8(bytes).map_err(|_| Malformed)
}

fn push<T>(list: &mut Vec<T>, max: usize, one: T) -> Result<(), Malformed> {
    if list.len() >= max {
        return Err(Malformed);
    }
    list.push(one);
    Ok(())
}

// === impl Metadata ===

impl<'a> Metadata<'a> {
    /// Reads it.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut metadata = Self::default();
        for field in Fields::of(message) {
            let (list, bytes) = match field? {
                (4, Field::Bytes(bytes)) => (&mut metadata.inputs, bytes),
                (5, Field::Bytes(bytes)) => (&mut metadata.outputs, bytes),
                _ => continue,
            };
            push(list, TENSORS_MAX, TensorMetadata::read(bytes)?.0)?;
        }
        Ok(metadata)
    }
}

// === impl TensorMetadata ===

impl<'a> TensorMetadata<'a> {
    /// Its first three fields are the same in metadata and in answers; the contents are in answers alone.
    fn read(message: &'a [u8]) -> Result<(Self, Option<&'a [u8]>), Malformed> {
        let (mut tensor, mut contents) = (Self::default(), None);
        for field in Fields::of(message) {
            match field? {
                (1, Field::Bytes(bytes)) => tensor.name = text(bytes)?,
                (2, Field::Bytes(bytes)) => tensor.datatype = text(bytes)?,
                (3, Field::Bytes(packed)) => {
                    for number in Numbers::of(packed) {
                        push(&mut tensor.dims, RANK_MAX, number?.cast_signed())?;
                    }
                }
                (3, Field::Number(number)) => {
                    push(&mut tensor.dims, RANK_MAX, number.cast_signed())?;
                }
                (5, Field::Bytes(bytes)) => contents = Some(bytes),
                _ => {}
            }
        }
        Ok((tensor, contents))
    }
}

// === impl Response ===

impl<'a> Response<'a> {
    /// Reads it.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut response = Self::default();
        for field in Fields::of(message) {
            match field? {
                (5, Field::Bytes(bytes)) => {
                    let (tensor, contents) = TensorMetadata::read(bytes)?;
                    let output = Output { tensor, contents };
                    push(&mut response.outputs, TENSORS_MAX, output)?;
                }
                (6, Field::Bytes(bytes)) => push(&mut response.raw, TENSORS_MAX, bytes)?,
                _ => {}
            }
        }
        Ok(response)
    }
}

// === impl Output ===

impl<'a> Output<'a> {
    /// Its elements as bytes, from the list for its type; no more than `len` of them.
    pub fn listed(&self, dtype: DType, len: usize) -> Result<Cow<'a, [u8]>, Malformed> {
        let list = match dtype {
            DType::I32 => 2,
            DType::I64 => 3,
            DType::U8 => 4,
            DType::Fp32 => 6,
            DType::Fp64 => 7,
            // They have no list.
            DType::Fp16 | DType::Bf16 => return Err(Malformed),
        };
        let mut bytes: Cow<'a, [u8]> = Cow::Borrowed(&[]);
        for field in Fields::of(self.contents.unwrap_or_default()) {
            match field? {
                (id, Field::Bytes(packed)) if id == list => match dtype {
                    // Packed floats are their bytes.
                    DType::Fp32 | DType::Fp64 if bytes.is_empty() => bytes = packed.into(),
                    DType::Fp32 | DType::Fp64 => add(&mut bytes, packed, len)?,
                    _ => {
                        for number in Numbers::of(packed) {
                            add_number(&mut bytes, dtype, number?, len)?;
                        }
                    }
                },
                (id, Field::Number(number)) if id == list => {
                    add_number(&mut bytes, dtype, number, len)?;
                }
                (id, Field::Fixed32(one)) if id == list => add(&mut bytes, &one, len)?,
                (id, Field::Fixed64(one)) if id == list => add(&mut bytes, &one, len)?,
                _ => {}
            }
        }
        Ok(bytes)
    }
}

fn add(bytes: &mut Cow<'_, [u8]>, more: &[u8], len: usize) -> Result<(), Malformed> {
    if bytes.len().saturating_add(more.len()) > len {
        return Err(Malformed);
    }
    bytes.to_mut().extend_from_slice(more);
    Ok(())
}

fn add_number(
    bytes: &mut Cow<'_, [u8]>,
    dtype: DType,
    number: u64,
    len: usize,
) -> Result<(), Malformed> {
    match dtype {
        DType::U8 => {
            let number = u8::try_from(number).map_err(|_| Malformed)?;
            add(bytes, &[number], len)
        }
        DType::I32 => {
            let number = i32::try_from(number.cast_signed()).map_err(|_| Malformed)?;
            add(bytes, &number.to_le_bytes(), len)
        }
        DType::I64 => add(bytes, &number.to_le_bytes(), len),
        DType::Fp16 | DType::Fp32 | DType::Fp64 | DType::Bf16 => Err(Malformed),
    }
}

#[cfg(test)]
mod tests;
