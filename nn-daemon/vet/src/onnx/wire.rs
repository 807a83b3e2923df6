//! Protobuf's wire format, read in place: fields of one message, nothing copied, nothing allocated. It is
//! stricter than it has to be, so that no parser behind it can see a field that this one does not.

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    /// A string, bytes, or a message.
    Bytes(&'a [u8]),
    /// 32 bits, whatever they mean.
    Fixed32,
    /// 64 bits.
    Fixed64,
}

/// The bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The fields of a message in their order; ends behind the first that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

/// The fields of a message.
pub(crate) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        // A tag beyond 32 bits would be cut by some parsers, and mean another field to them.
        let tag = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed32)?,
            // Groups; no ONNX message has any.
            _ => return Err(Malformed),
        };
        match tag >> 3 {
            0 => Err(Malformed),
            field => Ok((field, value)),
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else {
                return Err(Malformed);
            };
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// The varints of a packed field.
pub(crate) fn varints(bytes: &[u8]) -> impl Iterator<Item = Result<u64, Malformed>> {
    let mut rest = Fields { rest: bytes };
    std::iter::from_fn(move || {
        if rest.rest.is_empty() {
            return None;
        }
        let value = rest.varint();
        if value.is_err() {
            rest.rest = &[];
        }
        Some(value)
    })
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Value<'_>)>, Malformed> {
        fields(bytes).collect()
    }

    #[test]
    fn fields_come_with_number_and_value() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 0x01, b'x', 0x1d, 1, 2, 3, 4];
        let expected = [
            (1, Value::Varint(150)),
            (2, Value::Bytes(b"x")),
            (3, Value::Fixed32),
        ];
        assert_eq!(all(&bytes).unwrap(), expected);
    }

    #[test]
    fn what_another_parser_might_read_otherwise_is_malformed() {
        let tag_beyond_32_bits = [0xf0, 0x80, 0x80, 0x80, 0x10, 0x01];
        let field_zero = [0x00, 0x01];
        let group = [0x0b, 0x0c];
        let varint_beyond_64_bits = [
            0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
        ];
        let cut_short = [0x12, 0x05, b'x'];
        let bad: [&[u8]; 5] = [
            &tag_beyond_32_bits,
            &field_zero,
            &group,
            &varint_beyond_64_bits,
            &cut_short,
        ];
        assert_eq!(bad.map(all), [const { Err(Malformed) }; 5]);
    }
}
