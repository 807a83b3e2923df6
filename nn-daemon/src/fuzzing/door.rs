//! A client's frames at the door, as `server/frames.rs` follows them: how much of messages is still to come, and the name of
//! the server mended. A second reading knows frames by their heads alone, and says where anything may have changed.

use crate::server::Frames;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// What takes the place of a byte that may not stand in a name.
const INSTEAD: u8 = b'-';

/// What a client sends after the preface. The first byte says whether the door mends names (bit 0: it does not), and in
/// pieces of how many bytes all of it comes.
pub fn door_frames(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let mends = first & 1 == 0;
    let sent = [PREFACE, rest].concat();
    let mut whole = sent.clone();
    let mut reader = Frames::new(mends);
    let data = reader.follow(&mut whole);
    let mut pieces = sent.clone();
    let mut again = Frames::new(mends);
    let cut = usize::from(first >> 1).max(1);
    let counts = pieces.chunks_mut(cut).map(|piece| {
        let taken = again.follow(piece);
        assert!(taken <= piece.len(), "more than came");
        taken
    });
    let counted: usize = counts.sum();
    // However it is cut.
    assert_eq!((&pieces, counted), (&whole, data));
    assert_eq!(again.data_left(), reader.data_left());
    let read = Reading::of(rest);
    assert_eq!((data, reader.data_left()), (read.data, read.data_left));
    let (_, mended) = whole.split_at(PREFACE.len());
    let before = rest.iter().zip(mended).enumerate();
    for (at, (before, after)) in before.filter(|(_, (before, after))| before != after) {
        assert!(mends && read.fields.iter().any(|range| range.contains(&at)));
        assert_eq!((*after, before.is_ascii_alphanumeric()), (INSTEAD, false));
    }
    // What has been mended needs nothing more.
    let mut third = whole.clone();
    Frames::new(mends).follow(&mut third);
    assert_eq!(third, whole);
}

/// The same bytes by the lengths of their frames.
#[derive(Default)]
struct Reading {
    /// Bytes of messages that have come.
    data: usize,
    /// And that are still to come of the last frame.
    data_left: usize,
    /// Where fields may lie that can be mended.
    fields: Vec<std::ops::Range<usize>>,
}

impl Reading {
    fn of(bytes: &[u8]) -> Self {
        let mut read = Self::default();
        let mut at = 0;
        while let Some(&[a, b, c, kind, flags, ..]) = bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<HEAD_BYTES>())
        {
            let len = usize::try_from(u32::from_be_bytes([0, a, b, c])).expect("24 bits");
            let begin = at + HEAD_BYTES;
            let have = len.min(bytes.len() - begin);
            if kind == DATA {
                read.data += have;
                read.data_left = len - have;
            }
            if kind == HEADERS && flags & END_HEADERS != 0 && flags & PADDED == 0 {
                read.fields.push(begin..begin + have);
            }
            at = begin + have;
        }
        read
    }
}
