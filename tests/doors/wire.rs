//! HTTP/2 by hand (RFC 9113): frames are put together here and nothing keeps them right. Headers are literals without
//! an index (RFC 7541, 6.2.2), which is the shortest encoder there is.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nn_tests::Daemon;
use prost::Message;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What a connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// Longer than every deadline of the daemon's for a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a write may be held back.
const HELD_BACK: Duration = Duration::from_secs(1);

/// A connection whose frames are written by hand. What comes is read all the time, and pings are answered.
pub(crate) struct Wire {
    stream: UnixStream,
    frames: mpsc::Receiver<Frame>,
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// How writing went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// All of it was taken.
    All,
    /// The daemon takes no more for now.
    HeldBack,
    /// The daemon has ended the connection.
    Ended,
}

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header field.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        assert!(text.len() < 127, "a length of one byte");
        field.push(text.len().try_into().unwrap());
        field.extend(text.as_bytes());
    }
    field
}

/// The headers of a call.
pub(crate) fn call(path: &str) -> Vec<u8> {
    [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "localhost"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ]
    .concat()
}

/// A frame that begins a call.
pub(crate) fn begin(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &call(path))
}

/// The frames of a whole call.
pub(crate) fn whole(stream: u32, path: &str, message: &impl Message) -> Vec<u8> {
    [
        begin(stream, path),
        frame(DATA, END_STREAM, stream, &grpc(&message.encode_to_vec())),
    ]
    .concat()
}

/// A message as gRPC frames it.
pub(crate) fn grpc(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], len.as_slice(), message].concat()
}

pub(crate) fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let pairs = values.iter().flat_map(|(id, value)| {
        let (id, value) = (id.to_be_bytes(), value.to_be_bytes());
        id.into_iter().chain(value)
    });
    frame(SETTINGS, 0, 0, &pairs.collect::<Vec<u8>>())
}

/// The number of a client's n-th stream.
pub(crate) fn nth(n: u32) -> u32 {
    2 * n + 1
}

/// A connection to the door, with nothing written to it.
pub(crate) fn knock(daemon: &Daemon) -> io::Result<UnixStream> {
    UnixStream::connect(daemon.socket())
}

/// The next frame; an error at the end of the connection.
pub(crate) fn read_frame(stream: &mut impl Read) -> io::Result<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(len).unwrap()];
    stream.read_exact(&mut payload)?;
    Ok(Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff,
        payload,
    })
}

// === impl Wire ===

impl Wire {
    /// Connects, and says that it speaks HTTP/2 with these settings.
    pub(crate) fn open(daemon: &Daemon, values: &[(u16, u32)]) -> Self {
        let mut stream = knock(daemon).unwrap();
        stream.set_write_timeout(Some(HELD_BACK)).unwrap();
        stream
            .write_all(&[PREFACE, &settings(values)].concat())
            .unwrap();
        let mut reader = stream.try_clone().unwrap();
        let (came, frames) = mpsc::channel();
        let reading = move || {
            while let Ok(got) = read_frame(&mut reader) {
                let ping = (got.kind, got.flags & ACK) == (PING, 0);
                if ping
                    && reader
                        .write_all(&frame(PING, ACK, 0, &got.payload))
                        .is_err()
                {
                    return;
                }
                if came.send(got).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("reader".to_owned())
            .spawn(reading)
            .unwrap();
        Self { stream, frames }
    }

    /// Writes until it is held back or the end.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Written {
        match self.stream.write_all(bytes) {
            Ok(()) => Written::All,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Written::HeldBack,
            Err(_) => Written::Ended,
        }
    }

    /// Writes the same so many times.
    pub(crate) fn repeat(&mut self, bytes: &[u8], times: u32) -> Written {
        const AT_ONCE: u32 = 100;
        let many = bytes.repeat(usize::try_from(AT_ONCE).unwrap());
        let written = (0..times.div_ceil(AT_ONCE)).map(|_| self.write(&many));
        let stopped = written.into_iter().find(|&written| written != Written::All);
        stopped.unwrap_or(Written::All)
    }

    /// The next frame for which this holds; `None` when the connection ends before.
    pub(crate) fn wait(&self, mut holds: impl FnMut(&Frame) -> bool) -> Option<Frame> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.frames.recv_timeout(left) {
                Ok(frame) if holds(&frame) => return Some(frame),
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing came within {PATIENCE:?}"),
            }
        }
    }

    /// Waits for the end of a stream: its last headers, or its reset. False if the connection ends instead.
    pub(crate) fn stream_ends(&self, stream: u32) -> bool {
        self.wait(|frame| frame.stream == stream && frame.ends_its_stream())
            .is_some()
    }

    /// Waits until the daemon ends the connection; says with which code, if it said one.
    pub(crate) fn ends(self) -> Option<u32> {
        let mut code = None;
        self.wait(|frame| {
            if frame.kind == GOAWAY {
                code = frame
                    .payload
                    .get(4..8)
                    .map(|code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]));
            }
            false
        });
        code
    }

    /// Whether the daemon still answers here.
    pub(crate) fn is_alive(&mut self) -> bool {
        let ping = frame(PING, 0, 0, b"are you ");
        self.write(&ping) == Written::All
            && self
                .wait(|frame| (frame.kind, frame.flags) == (PING, ACK))
                .is_some()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The reader holds a copy of the descriptor.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

// === impl Frame ===

impl Frame {
    pub(crate) fn ends_its_stream(&self) -> bool {
        self.kind == RST_STREAM
            || (matches!(self.kind, HEADERS | DATA) && self.flags & END_STREAM != 0)
    }
}
