//! Connections and streams that end, what is no HTTP/2, and what has no end.

use super::super::frames::{
    CONTINUATION, DATA, END_HEADERS, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PUSH_PROMISE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, field, frame, grpc, head, whole,
};
use super::super::wild::Act;
use super::{ENDED, EVIL_RAW, LOST, Row, UNREACHABLE, row};

/// Connections and streams that end, and what is no HTTP/2.
pub(crate) const ENDS: &[Row] = &[
    row(
        "the connection ends at once",
        Act::Ends(|_| Vec::new()),
        LOST,
    ),
    row("it ends behind the head", Act::Ends(head), LOST),
    row(
        "it ends in the middle of a frame",
        Act::Ends(|id| {
            let mut all = whole(id, &grpc(&[7; 4096]));
            all.truncate(2000);
            all
        }),
        LOST,
    ),
    row(
        "the stream is reset",
        Act::Frames(|id| frame(RST_STREAM, 0, id, &2_u32.to_be_bytes())),
        LOST,
    ),
    row(
        "the stream is reset behind the message",
        Act::Frames(|id| {
            let reset = frame(RST_STREAM, 0, id, &8_u32.to_be_bytes());
            [head(id), frame(DATA, 0, id, &grpc(&[7; 9])), reset].concat()
        }),
        LOST,
    ),
    row(
        "the stream is refused",
        Act::Frames(|id| frame(RST_STREAM, 0, id, &7_u32.to_be_bytes())),
        UNREACHABLE,
    ),
    row(
        "it goes away, and had begun",
        Act::Ends(|id| {
            let mut said = id.to_be_bytes().to_vec();
            said.extend([0, 0, 0, 11]);
            said.extend(EVIL_RAW.as_bytes());
            frame(GOAWAY, 0, 0, &said)
        }),
        LOST,
    ),
    row(
        "it goes away, and had not begun",
        Act::Frames(|_| frame(GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0])),
        UNREACHABLE,
    ),
    row(
        "another protocol",
        Act::Frames(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL".to_vec()),
        LOST,
    ),
    row(
        "a frame of 16 MiB",
        Act::Frames(|id| vec![0xff, 0xff, 0xff, 0, 0, 0, 0, 0, id.to_be_bytes()[3]]),
        LOST,
    ),
    row(
        "data of no stream",
        Act::Frames(|_| frame(DATA, 0, 0, b"EVIL")),
        LOST,
    ),
    row(
        "data of a stream that nobody opened",
        Act::Frames(|id| frame(DATA, 0, id + 100, b"EVIL")),
        LOST,
    ),
    row(
        "data before the head",
        Act::Frames(|id| frame(DATA, 0, id, &grpc(&[]))),
        LOST,
    ),
    row(
        "a promise",
        Act::Frames(|id| frame(PUSH_PROMISE, END_HEADERS, id, &[0, 0, 0, 2, 0x88])),
        LOST,
    ),
    row(
        "headers that cannot be read",
        Act::Frames(|id| frame(HEADERS, END_HEADERS, id, &[0xff; 40])),
        LOST,
    ),
    row(
        "a window beyond its bound",
        Act::Frames(|_| frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes())),
        LOST,
    ),
    row(
        "settings that cannot be",
        Act::Frames(|_| frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1])),
        LOST,
    ),
];

/// As many of it as are worth a write.
fn many(frame: &[u8]) -> Vec<u8> {
    frame.repeat(64 * 1024 / frame.len())
}

/// What is sent without an end.
pub(crate) const FLOODS: &[Row] = &[
    row(
        "pings",
        Act::Floods(|_| (Vec::new(), many(&frame(PING, 0, 0, b"EVILEVIL")))),
        ENDED,
    ),
    row(
        "settings",
        Act::Floods(|_| {
            (
                Vec::new(),
                many(&frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
            )
        }),
        ENDED,
    ),
    row(
        "frames of no kind",
        Act::Floods(|_| (Vec::new(), many(&frame(0xfe, 0xff, 0, b"EVIL")))),
        ENDED,
    ),
    row(
        "priorities",
        Act::Floods(|_| (Vec::new(), many(&frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])))),
        ENDED,
    ),
    row(
        "resets of streams that are over",
        Act::Floods(|_| (Vec::new(), many(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])))),
        ENDED,
    ),
    row(
        "heads before the head",
        // A frame as long as may be, for there to be room for many small ones; 103, early hints.
        Act::Floods(|id| {
            let first = frame(0xfe, 0, 0, &[0; 64 * 1024]);
            (
                first,
                many(&frame(HEADERS, END_HEADERS, id, b"\x08\x03103")),
            )
        }),
        ENDED,
    ),
    row(
        "headers that go on and on",
        Act::Floods(|id| {
            let more = field("x-evil", &"y".repeat(100));
            (
                frame(HEADERS, 0, id, &[0x88]),
                many(&frame(CONTINUATION, 0, id, &more)),
            )
        }),
        ENDED,
    ),
    row(
        "empty data",
        Act::Floods(|id| (head(id), many(&frame(DATA, 0, id, &[])))),
        ENDED,
    ),
    row(
        "data that is padding",
        Act::Floods(|id| {
            (
                head(id),
                many(&frame(
                    DATA,
                    PADDED,
                    id,
                    &[[200].as_slice(), &[0; 200]].concat(),
                )),
            )
        }),
        ENDED,
    ),
    row(
        "data byte by byte",
        Act::Floods(|id| {
            let first = [head(id), frame(DATA, 0, id, &[0, 0, 15, 0xff, 0xff])].concat();
            (first, many(&frame(DATA, 0, id, &[7])))
        }),
        ENDED,
    ),
    row(
        "farewells",
        Act::Floods(|_| {
            (
                Vec::new(),
                many(&frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])),
            )
        }),
        ENDED,
    ),
];
