//! Protobuf's wire format.

/// A number, seven bits at a time.
#[must_use]
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        let [low, ..] = value.to_le_bytes();
        bytes.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    bytes.push(low);
    bytes
}

/// What stands before a field's value: its number, and how the value is written (0 varint, 1 eight bytes, 2 a length
/// and bytes, 5 four bytes; 3, 4, 6 and 7 are for bad files).
#[must_use]
pub fn tag(field: u32, written: u8) -> Vec<u8> {
    varint(u64::from(field) << 3 | u64::from(written))
}

/// A field that is a varint.
#[must_use]
pub fn number(field: u32, value: u64) -> Vec<u8> {
    [tag(field, 0), varint(value)].concat()
}

/// A field that is a message, or bytes.
#[must_use]
pub fn message(field: u32, content: &[u8]) -> Vec<u8> {
    // No slice is longer than 64 bits tell.
    let len = u64::try_from(content.len()).unwrap_or(u64::MAX);
    announced(field, len, content)
}

/// The same with a length that may be another than the content's.
#[must_use]
pub fn announced(field: u32, len: u64, content: &[u8]) -> Vec<u8> {
    [&tag(field, 2), &varint(len), content].concat()
}

/// A field that is a string.
#[must_use]
pub fn text(field: u32, value: &str) -> Vec<u8> {
    message(field, value.as_bytes())
}

/// Strings of one field.
#[must_use]
pub fn texts(field: u32, values: &[&str]) -> Vec<u8> {
    values.iter().flat_map(|value| text(field, value)).collect()
}

/// A field that is a 32-bit float.
#[must_use]
pub fn float(field: u32, value: f32) -> Vec<u8> {
    [&tag(field, 5)[..], &value.to_le_bytes()].concat()
}

/// A field that is a 64-bit float.
#[must_use]
pub fn double(field: u32, value: f64) -> Vec<u8> {
    [&tag(field, 1)[..], &value.to_le_bytes()].concat()
}

/// A repeated field of varints, written as one.
#[must_use]
pub fn packed(field: u32, values: &[u64]) -> Vec<u8> {
    let content: Vec<u8> = values.iter().flat_map(|&value| varint(value)).collect();
    message(field, &content)
}

/// A content inside messages by their field numbers, the innermost first.
#[must_use]
pub fn wrapped(content: &[u8], fields: &[u32]) -> Vec<u8> {
    let wrap = |inner: Vec<u8>, &field: &u32| message(field, &inner);
    fields.iter().fold(content.to_vec(), wrap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_seven_bits_at_a_time() {
        assert_eq!(varint(1), [1]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(u64::MAX).len(), 10);
    }

    #[test]
    fn fields_stand_behind_their_tags() {
        assert_eq!(number(1, 150), [0x08, 0x96, 0x01]);
        assert_eq!(text(16, "x"), [0x82, 0x01, 1, b'x']);
        assert_eq!(float(3, 1.0), [0x1d, 0, 0, 0x80, 0x3f]);
        assert_eq!(double(1, 0.0), [9, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(packed(1, &[1, 300]), [0x0a, 3, 1, 0xac, 0x02]);
        assert_eq!(announced(2, 5, b"x"), [0x12, 5, b'x']);
    }

    #[test]
    fn wrapped_content_stands_in_the_last_field_that_was_named() {
        assert_eq!(wrapped(b"x", &[1, 2]), [0x12, 3, 0x0a, 1, b'x']);
    }
}
