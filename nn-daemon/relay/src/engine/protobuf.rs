//! The part of Protocol Buffers that the messages of the Open Inference Protocol are made of. What comes is read where it
//! lies: nothing is allocated for it, so a message of a million empty fields costs its own bytes and no more.

/// Field number and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// An integer, a bool, an enum.
    Number(u64),
    /// A text, bytes, a message, a packed list.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32([u8; 4]),
    /// Eight.
    Fixed64([u8; 8]),
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are no message of Protocol Buffers")]
pub struct Malformed;

/// The fields of a message, in order. Ends with the first error.
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

/// Numbers one behind the other.
#[derive(Clone, Debug)]
pub struct Numbers<'a>(&'a [u8]);

/// A message as it is written.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

/// The most bytes of a number.
const NUMBER_BYTES_MAX: usize = 10;

fn number(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for index in 0..NUMBER_BYTES_MAX {
        let (&byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        let shift = u32::try_from(index)
            .map_err(|_| Malformed)?
            .saturating_mul(7);
        if shift == 63 && part > 1 {
            return Err(Malformed);
        }
        value |= part.checked_shl(shift).ok_or(Malformed)?;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

fn take<'a>(bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8], Malformed> {
    let len = usize::try_from(len).map_err(|_| Malformed)?;
    let (taken, rest) = bytes.split_at_checked(len).ok_or(Malformed)?;
    *bytes = rest;
    Ok(taken)
}

fn fixed<const LEN: usize>(bytes: &mut &[u8]) -> Result<[u8; LEN], Malformed> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(*taken)
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Of this message.
    #[must_use]
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn read(&mut self) -> Result<(u32, Field<'a>), Malformed> {
        let bytes = &mut self.0;
        let key = number(bytes)?;
        let id = u32::try_from(key >> 3).map_err(|_| Malformed)?;
        if id == 0 {
            return Err(Malformed);
        }
        let field = match key & 7 {
            0 => Field::Number(number(bytes)?),
            1 => Field::Fixed64(fixed(bytes)?),
            2 => {
                let len = number(bytes)?;
                Field::Bytes(take(bytes, len)?)
            }
            5 => Field::Fixed32(fixed(bytes)?),
            // Groups are of a time before these messages.
            _ => return Err(Malformed),
        };
        Ok((id, field))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.0 = &[];
        }
        Some(read)
    }
}

// === impl Numbers ===

impl<'a> Numbers<'a> {
    /// Of a packed list.
    #[must_use]
    pub fn of(packed: &'a [u8]) -> Self {
        Self(packed)
    }
}

impl Iterator for Numbers<'_> {
    type Item = Result<u64, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = number(&mut self.0);
        if read.is_err() {
            self.0 = &[];
        }
        Some(read)
    }
}

// === impl Writer ===

impl Writer {
    /// A text or bytes; an empty one is left out, as the protocol does.
    pub fn bytes(&mut self, id: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.message(id, bytes);
        }
    }

    /// A message, be it empty.
    pub fn message(&mut self, id: u32, bytes: &[u8]) {
        self.head(id, bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// What stands before so many bytes, which follow by another way.
    pub fn head(&mut self, id: u32, len: usize) {
        self.number(u64::from(id) << 3 | 2);
        self.number(u64::try_from(len).unwrap_or(u64::MAX));
    }

    /// A packed list; an empty one is left out.
    pub fn packed(&mut self, id: u32, numbers: impl Iterator<Item = u64>) {
        let mut list = Self::default();
        numbers.for_each(|number| list.number(number));
        self.bytes(id, &list.0);
    }

    fn number(&mut self, mut value: u64) {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            if value == 0 {
                return self.0.push(low);
            }
            self.0.push(low | 0x80);
        }
    }

    /// All of it.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_of_more_than_64_bits_are_refused() {
        let mut bytes = [0xff; 10];
        assert!(number(&mut bytes.as_slice()).is_err());
        bytes[9] = 1;
        assert_eq!(number(&mut bytes.as_slice()), Ok(u64::MAX));
        bytes[9] = 2;
        assert!(number(&mut bytes.as_slice()).is_err());
    }

    #[test]
    fn a_length_that_promises_more_than_there_is_is_refused() {
        let bytes = [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1];
        let all: Vec<_> = Fields::of(&bytes).collect();
        assert_eq!(all, [Err(Malformed)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_fields_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(Fields::of(&bytes).count() <= bytes.len());
        }

        #[test]
        fn what_is_written_reads_back(
            id in 1_u32..1000, text in prop::collection::vec(any::<u8>(), 1..200),
            numbers in prop::collection::vec(any::<u64>(), 1..20),
        ) {
            let mut writer = Writer::default();
            writer.bytes(id, &text);
            writer.packed(id, numbers.iter().copied());
            let bytes = writer.into_bytes();
            let fields: Vec<_> = Fields::of(&bytes).map(Result::unwrap).collect();
            prop_assert_eq!(fields.len(), 2);
            prop_assert_eq!(fields[0], (id, Field::Bytes(&text)));
            let Field::Bytes(packed) = fields[1].1 else { panic!() };
            let read: Result<Vec<u64>, _> = Numbers::of(packed).collect();
            prop_assert_eq!(read.unwrap(), numbers);
        }
    }
}
