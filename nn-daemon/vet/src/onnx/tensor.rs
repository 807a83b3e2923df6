//! One TensorProto: its bytes are here, and as many as its dimensions and its type say. ONNX Runtime checks the length
//! too, when it unpacks a tensor; here it costs nothing and comes before any native code.

use super::len;
use super::schema::{self, Kind};
use super::wire::{Value, fields, varints};
use crate::refusal::{Refusal, Rule, quoted};
use crate::rules::RANK_MAX;

const DIMS: u32 = 1;
const DATA_TYPE: u32 = 2;
const FLOATS: u32 = 4;
const INTS_32: u32 = 5;
const STRINGS: u32 = 6;
const INTS_64: u32 = 7;
const NAME: u32 = 8;
const RAW: u32 = 9;
const DOUBLES: u32 = 10;
const UNSIGNED_64: u32 = 11;
const EXTERNAL_DATA: u32 = 13;
const DATA_LOCATION: u32 = 14;

/// TensorProto.DataType's STRING.
const STRING: u64 = 8;

/// How a type's elements are stored.
#[derive(Clone, Copy, Debug)]
struct Storage {
    /// Bits of an element in raw data; 0 for strings, which have none.
    bits: u64,
    /// The field of its values, where they are not raw.
    field: u32,
    /// So many values of that field for so many elements.
    values: (u64, u64),
}

/// What is known of a tensor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Bytes of its elements.
    pub(crate) bytes: u64,
    /// Fields that were read.
    pub(crate) steps: u64,
}

/// The numbers of a tensor, as they are read.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers<'a> {
    name: &'a [u8],
    data_type: u64,
    external: bool,
    raw: Option<u64>,
    /// Values by the number of their field.
    values: [u64; 12],
    rank: usize,
    dims: [u64; RANK_MAX],
    steps: u64,
}

/// TensorProto.DataType.
const fn storage(data_type: u64) -> Option<Storage> {
    let (bits, field, values) = match data_type {
        1 => (32, FLOATS, (1, 1)),
        2 | 3 | 9 | 17..=20 | 24 => (8, INTS_32, (1, 1)),
        4 | 5 | 10 | 16 => (16, INTS_32, (1, 1)),
        6 => (32, INTS_32, (1, 1)),
        7 => (64, INTS_64, (1, 1)),
        STRING => (0, STRINGS, (1, 1)),
        11 => (64, DOUBLES, (1, 1)),
        12 => (32, UNSIGNED_64, (1, 1)),
        13 => (64, UNSIGNED_64, (1, 1)),
        // Complex numbers.
        14 => (64, FLOATS, (2, 1)),
        15 => (128, DOUBLES, (2, 1)),
        // Halves and quarters of a byte, packed in the values too.
        21..=23 => (4, INTS_32, (1, 2)),
        25 | 26 => (2, INTS_32, (1, 4)),
        _ => return None,
    };
    Some(Storage {
        bits,
        field,
        values,
    })
}

/// Refuses a tensor that is not what it says.
pub(crate) fn judge(tensor: &[u8]) -> Result<Seen, Refusal> {
    let mut numbers = Numbers::default();
    let read = numbers.read(tensor);
    let place = || format!("the tensor {}", quoted(numbers.name));
    read.map_err(|refusal| refusal.inside(&place()))?;
    let bytes = numbers
        .bytes()
        .map_err(|refusal| refusal.inside(&place()))?;
    Ok(Seen {
        bytes,
        steps: numbers.steps,
    })
}

/// The elements of dimensions, if they are ones: not negative, not too many, their product within 63 bits.
pub(crate) fn elements(dims: &[u64]) -> Result<u64, Refusal> {
    let impossible = |got: String| {
        Refusal::new(Rule::Dims)
            .expected("dimensions from 0 on, their product below 2^63")
            .got(got)
    };
    if dims.iter().any(|&dim| i64::try_from(dim).is_err()) {
        return Err(impossible("a negative dimension".to_owned()));
    }
    // A zero anywhere makes the product zero, whatever the others would overflow to.
    if dims.contains(&0) {
        return Ok(0);
    }
    let product = dims.iter().try_fold(1_u64, |p, &dim| p.checked_mul(dim));
    product
        .filter(|&product| i64::try_from(product).is_ok())
        .ok_or_else(|| impossible(format!("{dims:?}")))
}

/// Refuses more dimensions than are served.
pub(crate) fn too_many_dimensions() -> Refusal {
    Refusal::new(Rule::Rank)
        .expected(format!("at most {RANK_MAX} dimensions"))
        .got("more")
}

// === impl Numbers ===

impl<'a> Numbers<'a> {
    fn read(&mut self, tensor: &'a [u8]) -> Result<(), Refusal> {
        let mut seen = 0_u32;
        for field in fields(tensor) {
            self.steps = self.steps.saturating_add(1);
            let (number, value) = field?;
            let Some(holds) = schema::field(Kind::Tensor, number) else {
                continue;
            };
            if !holds.fits(value) {
                return Err(Refusal::new(Rule::Malformed));
            }
            let bit = schema::once(Kind::Tensor, number, holds);
            // What lies elsewhere is worse than what comes twice.
            self.take(number, value)?;
            if self.external {
                return Err(Refusal::new(Rule::ExternalData)
                    .expected("every tensor's bytes inside the model")
                    .got("external data"));
            }
            if seen & bit != 0 {
                return Err(Refusal::new(Rule::DuplicateField)
                    .expected("each field once")
                    .got(format!("field {number} again")));
            }
            seen |= bit;
        }
        Ok(())
    }

    fn take(&mut self, number: u32, value: Value<'a>) -> Result<(), Refusal> {
        match (number, value) {
            (DIMS, Value::Varint(dim)) => self.dim(dim)?,
            (DIMS, Value::Bytes(packed)) => {
                for dim in varints(packed) {
                    self.steps = self.steps.saturating_add(1);
                    self.dim(dim?)?;
                }
            }
            (DATA_TYPE, Value::Varint(data_type)) => self.data_type = data_type,
            (NAME, Value::Bytes(name)) => self.name = name,
            (RAW, Value::Bytes(raw)) => self.raw = Some(len(raw)),
            (EXTERNAL_DATA, _) => self.external = true,
            // 0 is "inside"; 1 is "elsewhere", and nobody knows what others would be.
            (DATA_LOCATION, Value::Varint(place)) => self.external |= place != 0,
            (FLOATS, Value::Bytes(packed)) => self.count(number, whole(packed, 4)?),
            (DOUBLES, Value::Bytes(packed)) => self.count(number, whole(packed, 8)?),
            (STRINGS, Value::Bytes(_)) => self.count(number, 1),
            (INTS_32 | INTS_64 | UNSIGNED_64, Value::Bytes(packed)) => {
                for value in varints(packed) {
                    value?;
                    self.steps = self.steps.saturating_add(1);
                    self.count(number, 1);
                }
            }
            (FLOATS | DOUBLES | INTS_32 | INTS_64 | UNSIGNED_64, _) => self.count(number, 1),
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, field: u32, more: u64) {
        let field = usize::try_from(field).unwrap_or(usize::MAX);
        if let Some(values) = self.values.get_mut(field) {
            *values = values.saturating_add(more);
        }
    }

    fn dim(&mut self, dim: u64) -> Result<(), Refusal> {
        let place = self.dims.get_mut(self.rank);
        *place.ok_or_else(too_many_dimensions)? = dim;
        self.rank = self.rank.saturating_add(1);
        Ok(())
    }

    /// The length of its elements, which is that of the data that is there.
    fn bytes(&self) -> Result<u64, Refusal> {
        let storage = storage(self.data_type).ok_or_else(|| {
            Refusal::new(Rule::DataType).got(format!("element type {}", self.data_type))
        })?;
        let dims = self.dims.get(..self.rank).unwrap_or_default();
        let elements = elements(dims)?;
        let bits = elements.checked_mul(storage.bits.max(1));
        let bytes = bits.map(|bits| bits.div_ceil(8));
        let overflow =
            || Refusal::new(Rule::Dims).got(format!("{dims:?} of type {}", self.data_type));
        let bytes = bytes
            .filter(|&bytes| i64::try_from(bytes).is_ok())
            .ok_or_else(overflow)?;
        let all: u64 = self.values.iter().fold(0, |sum, &n| sum.saturating_add(n));
        let field = usize::try_from(storage.field).unwrap_or(usize::MAX);
        let own = self.values.get(field).copied().unwrap_or_default();
        let (times, of) = storage.values;
        let values = elements
            .checked_mul(times)
            .ok_or_else(overflow)?
            .div_ceil(of);
        let right = match self.raw {
            Some(raw) => storage.bits > 0 && raw == bytes && all == 0,
            None => own == values && all == own,
        };
        if right {
            return Ok(if storage.bits > 0 { bytes } else { 0 });
        }
        let (expected, got) = match self.raw {
            Some(raw) => (
                format!("{bytes} bytes"),
                format!("{raw} bytes and {all} values"),
            ),
            None => (
                format!("{values} values"),
                format!("{own} values of its type, {all} in all"),
            ),
        };
        Err(Refusal::new(Rule::DataLength)
            .expected(format!(
                "{expected} for {dims:?} of type {}",
                self.data_type
            ))
            .got(got))
    }
}

/// How many values of that many bytes.
fn whole(packed: &[u8], bytes: u64) -> Result<u64, Refusal> {
    let len = len(packed);
    if len.checked_rem(bytes) == Some(0) {
        Ok(len.checked_div(bytes).unwrap_or_default())
    } else {
        Err(Refusal::new(Rule::Malformed))
    }
}

#[cfg(test)]
mod tests;
