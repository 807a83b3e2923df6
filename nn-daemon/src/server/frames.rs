//! A client's frames, followed as they come from a socket: how much of a message is still to come in one piece; and the name
//! that a client over a Unix socket gives the server, mended.
//!
//! gRPC's C core, which Python, Ruby, PHP, C# and C++ stand on, takes the path of the socket for that name, written with
//! `%2F`. To HTTP/2 that is no name, and such a request is refused before anybody here sees it. So in an `:authority` that
//! cannot be one, `-` takes the place of what may not stand in it. ADR 34.
//!
//! ```text
//! frame head (9 bytes) ──▶ DATA, SETTINGS, …: passed by their length
//!                     └──▶ HEADERS: field by field (HPACK, frames/fields.rs) ──▶ the text of :authority, byte for byte
//! ```
//!
//! Lengths stay as they are, of the text and of the frame: so a client's table of fields and the server's have the same
//! sizes, and nothing is held back, moved or allocated. What cannot be understood is passed on: HTTP/2 says what is
//! wrong with it.

mod fields;

use super::PREFACE_BYTES;
use fields::Fields;

/// The head of a frame: three bytes of length, kind, flags, four of a stream.
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// What stands before the fields where a frame has a priority.
const PRIORITY_BYTES: usize = 5;

/// Where one connection's bytes stand.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Bytes to pass by.
    skip: usize,
    /// Whether they are a message's.
    is_data: bool,
    mends: bool,
    head: [u8; HEAD_BYTES],
    /// Bytes of it that have come.
    have: usize,
    fields: Option<Fields>,
}

// === impl Frames ===

impl Frames {
    /// Of a connection that begins. `mends`: its client may name the server by a path.
    pub(crate) fn new(mends: bool) -> Self {
        Self {
            skip: PREFACE_BYTES,
            is_data: false,
            mends,
            head: [0; HEAD_BYTES],
            have: 0,
            fields: None,
        }
    }

    /// Bytes of a message that are still to come in the frame that has begun.
    pub(crate) fn data_left(&self) -> usize {
        if self.is_data { self.skip } else { 0 }
    }

    /// Follows what has come, however it was cut; says how much of it was messages'.
    pub(crate) fn follow(&mut self, mut bytes: &mut [u8]) -> usize {
        let mut data: usize = 0;
        while !bytes.is_empty() {
            let is_data = self.data_left() > 0;
            let taken = self.step(bytes);
            if is_data {
                data = data.saturating_add(taken);
            }
            bytes = bytes.get_mut(taken..).unwrap_or_default();
        }
        data
    }

    /// Takes some of the bytes, at least one.
    fn step(&mut self, bytes: &mut [u8]) -> usize {
        if self.skip > 0 {
            let taken = self.skip.min(bytes.len());
            self.skip = self.skip.saturating_sub(taken);
            return taken;
        }
        if let Some(fields) = &mut self.fields {
            let taken = fields.left.min(bytes.len());
            let (part, _) = bytes.split_at_mut(taken);
            fields.mend(part);
            if fields.left == 0 {
                self.fields = None;
            }
            return taken;
        }
        let Some((_, rest)) = self.head.split_at_mut_checked(self.have) else {
            return bytes.len();
        };
        let taken = rest.len().min(bytes.len());
        for (to, from) in rest.iter_mut().zip(&*bytes) {
            *to = *from;
        }
        self.have = self.have.saturating_add(taken);
        if self.have == HEAD_BYTES {
            self.begin();
        }
        taken
    }

    /// A frame begins behind its head.
    fn begin(&mut self) {
        self.have = 0;
        let [a, b, c, kind, flags, ..] = self.head;
        let len = u32::from_be_bytes([0, a, b, c]);
        self.skip = usize::try_from(len).unwrap_or(usize::MAX);
        self.is_data = kind == DATA;
        // Fields that go on in another frame, and those with padding, are passed by: the clients in question write neither.
        if !self.mends || kind != HEADERS || flags & END_HEADERS == 0 || flags & PADDED != 0 {
            return;
        }
        let before = if flags & PRIORITY == 0 {
            0
        } else {
            PRIORITY_BYTES
        };
        if let Some(left) = self.skip.checked_sub(before).filter(|&left| left > 0) {
            self.skip = before;
            self.fields = Some(Fields::new(left));
        }
    }
}

#[cfg(test)]
mod tests;
