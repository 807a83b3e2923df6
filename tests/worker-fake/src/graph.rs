//! The name of an ONNX model's graph, read by hand: the fake has no framework that could. Pure.

/// `ModelProto.graph` and `GraphProto.name` of onnx.proto.
const GRAPH: u64 = 7;
const NAME: u64 = 2;

/// The graph's name, if the bytes look like a model.
pub(crate) fn name(model: &[u8]) -> Option<&str> {
    let graph = message(model, GRAPH)?;
    std::str::from_utf8(message(graph, NAME)?).ok()
}

/// The content of the first length-delimited field of that number.
fn message(mut bytes: &[u8], wanted: u64) -> Option<&[u8]> {
    while !bytes.is_empty() {
        let (key, rest) = varint(bytes)?;
        let (content, rest) = match key & 7 {
            0 => (None, varint(rest)?.1),
            1 => (None, rest.get(8..)?),
            2 => {
                let (len, rest) = varint(rest)?;
                let (content, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
                (Some(content), rest)
            }
            5 => (None, rest.get(4..)?),
            _ => return None,
        };
        if key >> 3 == wanted && content.is_some() {
            return content;
        }
        bytes = rest;
    }
    None
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_names_its_graph() {
        let model = b"\x08\x08\x3a\x03\x12\x01e";
        assert_eq!(name(model), Some("e"));
    }

    #[test]
    fn what_is_no_model_has_no_name() {
        assert_eq!(name(b""), None);
        assert_eq!(name(b"\x3a\x09\x12"), None);
        assert_eq!(name(&[0xff; 20]), None);
    }
}
