//! What an inference's message may be made of, looked at before it is decoded: two bytes of it can ask for three hundred of
//! the heap. Tensors that travel raw stay where they are; all else is bounded here. Pure; it never panics.

use nn_tensor::{Fault, Reason};

/// What a message may have besides its tensors, in bytes: as much as a message of nn.v1.
pub const HEAD_BYTES_MAX: usize = crate::MESSAGE_BYTES_MAX;

/// What the elements of tensors that do not travel raw may have together, in bytes of the message.
pub const TYPED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many times as large such elements may be once they are decoded: a byte may stand for one of eight.
pub const TYPED_GROWTH: usize = 8;

/// Numbers of fields: of ModelInferRequest, of its InferInputTensor, and of the InferTensorContents in that.
const INPUTS: u64 = 5;
const RAW_INPUT_CONTENTS: u64 = 7;
const CONTENTS: u64 = 5;
const BYTES_CONTENTS: u64 = 8;

/// What is left of a message to be walked through.
struct Fields<'a>(&'a [u8]);

/// A field: its number, and its bytes where it has any.
type Field<'a> = (u64, &'a [u8]);

/// Refuses what would take more memory than its bytes are worth.
pub(super) fn check(message: &[u8]) -> Result<(), Fault> {
    let (mut raw, mut typed) = (0_usize, 0_usize);
    for field in Fields(message) {
        match field? {
            (RAW_INPUT_CONTENTS, bytes) => raw = raw.saturating_add(bytes.len()),
            (INPUTS, input) => typed = typed.saturating_add(typed_bytes(input)?),
            _ => {}
        }
    }
    let head = message.len().saturating_sub(raw).saturating_sub(typed);
    if typed > TYPED_BYTES_MAX {
        return Err(Fault::of(Reason::MessageTooLarge)
            .message("the elements of tensors that do not travel raw are too many")
            .expected(format!("at most {TYPED_BYTES_MAX} bytes of `contents`"))
            .got(format!("{typed} bytes"))
            .hint("send them in raw_input_contents"));
    }
    if head > HEAD_BYTES_MAX {
        return Err(Fault::of(Reason::MessageTooLarge)
            .message("the message says too much besides its tensors")
            .expected(format!("at most {HEAD_BYTES_MAX} bytes"))
            .got(format!("{head} bytes"))
            .hint("names, shapes and parameters are short"));
    }
    Ok(())
}

fn typed_bytes(input: &[u8]) -> Result<usize, Fault> {
    let mut typed = 0_usize;
    for field in Fields(input) {
        let (CONTENTS, contents) = field? else {
            continue;
        };
        for element in Fields(contents) {
            if element?.0 == BYTES_CONTENTS {
                return Err(Fault::of(Reason::TypeUnserved).got("BYTES, in bytes_contents"));
            }
        }
        typed = typed.saturating_add(contents.len());
    }
    Ok(typed)
}

fn malformed() -> Fault {
    Fault::of(Reason::MessageWrong).got("bytes that are no protobuf message")
}

// === impl Fields ===

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let tag = self.varint()?;
        let bytes = match tag & 7 {
            0 => self.varint().map(|_| &[][..]),
            1 => self.take(8).map(|_| &[][..]),
            2 => {
                let len = self.varint()?;
                self.take(len)
            }
            5 => self.take(4).map(|_| &[][..]),
            _ => None,
        };
        Some((tag >> 3, bytes?))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(malformed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::kserve::inference::model_infer_request::InferInputTensor;
    use crate::kserve::inference::{InferTensorContents, ModelInferRequest};

    fn with(contents: InferTensorContents) -> Vec<u8> {
        let input = InferInputTensor {
            name: "x".into(),
            contents: Some(contents),
            ..InferInputTensor::default()
        };
        ModelInferRequest {
            inputs: vec![input],
            ..ModelInferRequest::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn raw_tensors_of_any_size_pass() {
        let request = ModelInferRequest {
            model_name: "m".into(),
            parameters: HashMap::from([("k".into(), Default::default())]),
            raw_input_contents: vec![vec![7; 3 * HEAD_BYTES_MAX].into()],
            ..ModelInferRequest::default()
        };
        assert_eq!(check(&request.encode_to_vec()), Ok(()));
    }

    #[test]
    fn a_message_of_nothing_but_inputs_is_refused() {
        // Each pair of bytes is an input without a name.
        let inputs = [0x2a, 0].repeat(HEAD_BYTES_MAX);
        assert_eq!(
            check(&inputs).unwrap_err().reason,
            Some(Reason::MessageTooLarge)
        );
    }

    #[test]
    fn elements_are_bounded_and_bytes_are_none() {
        let small = InferTensorContents {
            int64_contents: vec![1; 1000],
            ..InferTensorContents::default()
        };
        assert_eq!(check(&with(small)), Ok(()));
        let large = InferTensorContents {
            int64_contents: vec![1; TYPED_BYTES_MAX + 1],
            ..InferTensorContents::default()
        };
        let fault = check(&with(large)).unwrap_err();
        assert_eq!(fault.reason, Some(Reason::MessageTooLarge));
        let strings = InferTensorContents {
            bytes_contents: vec![Vec::new()],
            ..InferTensorContents::default()
        };
        let fault = check(&with(strings)).unwrap_err();
        assert_eq!(fault.reason, Some(Reason::TypeUnserved));
    }

    #[test]
    fn what_is_cut_off_is_malformed() {
        let whole = with(InferTensorContents::default());
        let cut = whole.get(..whole.len() - 1).unwrap();
        assert_eq!(check(cut).unwrap_err().reason, Some(Reason::MessageWrong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = check(&bytes);
        }
    }
}
