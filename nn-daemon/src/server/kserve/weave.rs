//! Tensors that follow the message that tells of them. In protobuf a field may come behind all others: so an answer is
//! encoded without its tensors, and their bytes are sent behind it as they are read from where the worker wrote them. Each
//! is copied once, a piece at a time as the client takes it, and no answer lies in the daemon's memory.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use prost::encoding::{encode_varint, encoded_len_varint};
use tonic::Status;
use tonic::body::Body;

use crate::kserve::Outputs;
use crate::server::Caller;
use crate::server::patience::Deadline;

/// The bytes that are copied first: a client that takes nothing costs no more. Each piece that it has taken is followed by
/// one of twice the length, for a piece is a frame of HTTP/2 and a call of the kernel's, up to the longest.
const PIECE_BYTES: usize = 16 * 1024;
const PIECE_BYTES_MAX: usize = 256 * 1024;

/// The end of an answer, which goes out in small pieces (`patience.rs`).
const LAST_BYTES: u64 = 4 * 1024;

/// A message of gRPC begins with a byte of flags and four of length.
const HEAD_BYTES: usize = 5;

/// Field 6 of ModelInferResponse, raw_output_contents, of bytes.
const RAW_OUTPUT_CONTENTS: u8 = 6 << 3 | 2;

/// Field 2 of ModelStreamInferResponse, infer_response, a message.
const INFER_RESPONSE: u8 = 2 << 3 | 2;

/// The tensors of one answer, as far as they have not been sent.
#[derive(Debug, Default)]
pub(super) struct Tail {
    outputs: Option<Outputs>,
    /// Which of them, and how many bytes each has.
    todo: VecDeque<(usize, u64)>,
    /// Sent of the first of these; `None` before it is begun.
    at: Option<u64>,
    left: u64,
    /// The length of the next piece.
    piece: usize,
}

/// Those of one call's answers, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Tails(Arc<Mutex<VecDeque<Tail>>>);

/// A call's answers on their way out.
#[derive(Debug)]
pub(super) struct Woven {
    body: Body,
    tails: Tails,
    /// Whether answers are ModelStreamInferResponse, and for how long the client may take one.
    stream: Option<Caller>,
    /// Messages that have not been sent.
    messages: Bytes,
    tail: Option<Tail>,
    patience: Option<Deadline>,
}

fn varint(number: u64) -> Bytes {
    let mut bytes = BytesMut::with_capacity(encoded_len_varint(number));
    encode_varint(number, &mut bytes);
    bytes.freeze()
}

/// What stands before an output's bytes.
fn field(bytes: u64) -> Bytes {
    let mut head = BytesMut::new();
    head.put_u8(RAW_OUTPUT_CONTENTS);
    encode_varint(bytes, &mut head);
    head.freeze()
}

/// A message of gRPC that tells of so many bytes more than it has.
fn announce(message: &Bytes, tail: u64, is_nested: bool) -> Option<Bytes> {
    let flags = *message.first()?;
    let body = message.get(HEAD_BYTES..)?;
    let mut inner = body;
    let mut before = BytesMut::new();
    if is_nested {
        let (&tag, mut rest) = body.split_first()?;
        let len = prost::encoding::decode_varint(&mut rest).ok()?;
        // The answer is the one field that an answer without an error has.
        if tag != INFER_RESPONSE || u64::try_from(rest.len()) != Ok(len) {
            return None;
        }
        before.put_u8(INFER_RESPONSE);
        before.put(varint(len.checked_add(tail)?));
        inner = rest;
    }
    let len = u64::try_from(before.len().checked_add(inner.len())?).ok()?;
    let len = u32::try_from(len.checked_add(tail)?).ok()?;
    let mut told = BytesMut::with_capacity(message.len().saturating_add(HEAD_BYTES));
    told.put_u8(flags);
    told.put_u32(len);
    told.put(before);
    told.put(inner);
    Some(told.freeze())
}

// === impl Tail ===

impl Tail {
    /// Those outputs that were asked for, in that order.
    pub(super) fn new(outputs: Outputs, asked: &[usize]) -> Self {
        let bytes = |&index: &usize| Some((index, outputs.list().get(index)?.slot().len));
        let todo: VecDeque<(usize, u64)> = asked.iter().filter_map(bytes).collect();
        let whole = |&(_, len): &(usize, u64)| {
            let head = u64::try_from(field(len).len()).unwrap_or(u64::MAX);
            head.saturating_add(len)
        };
        let left = todo.iter().map(whole).fold(0, u64::saturating_add);
        Self {
            outputs: Some(outputs),
            todo,
            at: None,
            left,
            piece: PIECE_BYTES,
        }
    }

    /// Bytes that are still to be sent.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next of them; `None` behind the last, or where they cannot be read.
    fn next(&mut self) -> Option<Bytes> {
        let &(index, len) = self.todo.front()?;
        let piece = match self.at {
            None => {
                self.at = Some(0);
                field(len)
            }
            Some(at) => {
                let rest = usize::try_from(len.checked_sub(at)?).ok()?;
                let most = self.left.saturating_sub(LAST_BYTES).max(LAST_BYTES);
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                let piece = rest.min(self.piece).min(most);
                self.piece = self.piece.saturating_mul(2).min(PIECE_BYTES_MAX);
                let copied = self.outputs.as_ref()?.copy(index, at, piece)?;
                self.at = at.checked_add(u64::try_from(piece).ok()?);
                copied
            }
        };
        if self.at.is_some_and(|at| at >= len) {
            self.todo.pop_front();
            self.at = None;
        }
        let sent = u64::try_from(piece.len()).ok()?;
        self.left = self.left.checked_sub(sent)?;
        Some(piece)
    }
}

// === impl Tails ===

impl Tails {
    /// Of a call with one answer.
    pub(super) fn of(tail: Tail) -> Self {
        let tails = Self::default();
        tails.push(tail);
        tails
    }

    /// The next answer's.
    pub(super) fn push(&self, tail: Tail) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(tail);
    }

    fn pop(&self) -> Option<Tail> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.pop_front()
    }
}

// === impl Woven ===

impl Woven {
    /// Answers, and the tensors of each. `stream` is who gets a stream of them.
    pub(super) fn new(body: Body, tails: Tails, stream: Option<Caller>) -> Self {
        Self {
            body,
            tails,
            stream,
            messages: Bytes::new(),
            tail: None,
            patience: None,
        }
    }

    /// The next message of those that have been encoded, which its tensors follow.
    fn message(&mut self) -> Result<Bytes, Status> {
        let broken = || Status::internal("an answer could not be put together");
        let len = match *self.messages {
            [_, a, b, c, d, ..] => u32::from_be_bytes([a, b, c, d]),
            _ => return Err(broken()),
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let end = len.checked_add(HEAD_BYTES);
        let end = end.filter(|&end| end <= self.messages.len());
        let message = self.messages.split_to(end.ok_or_else(broken)?);
        let tail = self.tails.pop().filter(|tail| tail.left() > 0);
        let Some(tail) = tail else {
            return Ok(message);
        };
        let told = announce(&message, tail.left(), self.stream.is_some());
        self.tail = Some(tail);
        self.patience = self.stream.clone().map(Deadline::new);
        told.ok_or_else(broken)
    }
}

impl http_body::Body for Woven {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(tail) = self.tail.as_mut() {
                if tail.left() > 0 {
                    let broken = || Status::internal("an output could not be read");
                    let piece = tail.next().ok_or_else(broken);
                    return Poll::Ready(Some(piece.map(Frame::data)));
                }
                // All of it is on its way.
                self.tail = None;
                self.patience = None;
            }
            if !self.messages.is_empty() {
                return Poll::Ready(Some(self.message().map(Frame::data)));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(messages) => self.messages = messages,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.tail.is_none() && self.messages.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.tail.as_ref().map_or(0, Tail::left);
        let mut hint = SizeHint::default();
        hint.set_lower(left);
        hint
    }
}

#[cfg(test)]
mod tests {
    use nn_proto::kserve::inference::{ModelInferResponse, ModelStreamInferResponse};
    use prost::Message;

    use super::*;

    fn framed(message: &impl Message) -> Bytes {
        let body = message.encode_to_vec();
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(u32::try_from(body.len()).unwrap());
        framed.put(&*body);
        framed.freeze()
    }

    fn answer() -> ModelInferResponse {
        ModelInferResponse {
            model_name: "m".into(),
            ..ModelInferResponse::default()
        }
    }

    /// An answer, announced with a tensor behind it, as its client reads it.
    fn read<M: Message + Default>(message: &impl Message, is_nested: bool, tensor: &[u8]) -> M {
        let tail = [&field(u64::try_from(tensor.len()).unwrap()), tensor].concat();
        let bytes = u64::try_from(tail.len()).unwrap();
        let told = announce(&framed(message), bytes, is_nested).unwrap();
        let whole = [&*told, &tail].concat();
        let len = u32::from_be_bytes([whole[1], whole[2], whole[3], whole[4]]);
        assert_eq!(usize::try_from(len).unwrap(), whole.len() - HEAD_BYTES);
        M::decode(&whole[HEAD_BYTES..]).unwrap()
    }

    #[test]
    fn a_tensor_behind_its_message_is_read_as_a_part_of_it() {
        for len in [0, 1, 127, 128, 100_000] {
            let tensor = vec![7; len];
            let unary: ModelInferResponse = read(&answer(), false, &tensor);
            let contents: &[Bytes] = &unary.raw_output_contents;
            assert_eq!((unary.model_name.as_str(), contents.len()), ("m", 1));
            assert_eq!(contents[0], tensor);
            let message = ModelStreamInferResponse {
                infer_response: Some(answer()),
                ..ModelStreamInferResponse::default()
            };
            let streamed: ModelStreamInferResponse = read(&message, true, &tensor);
            assert_eq!(streamed.infer_response.unwrap(), unary);
        }
    }
}
