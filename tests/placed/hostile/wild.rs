//! An engine behind a TCP port that does what it is told, each frame written by hand: nothing keeps it from any of it. Calls
//! are told apart by their messages, their headers are not read: whether a model is ready and what it takes are asked for
//! alike, one after the other; a compute has inputs.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

use nn_proto::kserve::inference as oip;
use prost::Message as _;

use super::frames::{
    ACK, DATA, END_STREAM, Frame, PING, PREFACE_BYTES, SETTINGS, WINDOW_UPDATE, frame, grpc,
    metadata, read_frame, sum, trailers, whole,
};

/// Between two bytes of what drips.
const DRIP: Duration = Duration::from_millis(20);

/// What an engine does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// What is right.
    Right,
    /// A call gets the right message, changed.
    Message(fn(&mut oip::ModelInferResponse)),
    /// A call gets these bytes in the place of a message.
    Body(fn() -> Vec<u8>),
    /// A call gets a status.
    Status(&'static str, &'static str),
    /// A call gets these frames, and nothing more.
    Frames(fn(u32) -> Vec<u8>),
    /// The same, and the connection ends behind them.
    Ends(fn(u32) -> Vec<u8>),
    /// The same, a byte now and then.
    Drips(fn(u32) -> Vec<u8>),
    /// A call gets these frames, and then others over and over, as fast as they are taken.
    Floods(fn(u32) -> (Vec<u8>, Vec<u8>)),
    /// Whoever connects gets these bytes and nothing more.
    Greets(&'static [u8]),
    /// Nobody listens.
    Gone,
    /// The model is another one, to whoever connects from now on.
    Says(fn(&mut oip::ModelMetadataResponse)),
    /// What it says of the model is this.
    SaysBytes(fn() -> Vec<u8>),
    /// It does not say whether the model is ready.
    Silent,
    /// The model is not ready.
    Unready,
    /// Whoever asks for the model gets this status.
    Refuses(&'static str),
}

/// One.
#[derive(Debug)]
pub(crate) struct Wild {
    shared: Arc<Shared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    act: Mutex<Act>,
    /// Each connection that there is, to be cut.
    open: Mutex<Vec<TcpStream>>,
    is_closing: AtomicBool,
    calls: AtomicU64,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs it on a thread of its own.
fn aside<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().name("engine".to_owned()).spawn(run).unwrap()
}

// === impl Act ===

impl Act {
    /// Whether it takes a new connection to see it.
    fn is_of_connections(self) -> bool {
        matches!(
            self,
            Self::Greets(_)
                | Self::Gone
                | Self::Says(_)
                | Self::SaysBytes(_)
                | Self::Silent
                | Self::Unready
                | Self::Refuses(_)
        )
    }
}

// === impl Wild ===

impl Wild {
    /// On a port that was free.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            act: Mutex::new(Act::Right),
            open: Mutex::default(),
            is_closing: AtomicBool::new(false),
            calls: AtomicU64::new(0),
        });
        let wild = Self {
            shared,
            listening: Mutex::default(),
        };
        wild.listen(listener);
        wild
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        self.shared.address.to_string()
    }

    /// How many computes have reached it.
    pub(crate) fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Does this from now on. What takes another connection to be seen cuts those that there are.
    pub(crate) fn set(&self, act: Act) {
        *lock(&self.shared.act) = act;
        if matches!(act, Act::Gone) {
            self.leave();
        } else if lock(&self.listening).is_none() {
            self.listen(TcpListener::bind(self.shared.address).unwrap());
        }
        if act.is_of_connections() {
            self.cut();
        }
    }

    fn listen(&self, listener: TcpListener) {
        self.shared.is_closing.store(false, Ordering::Relaxed);
        let shared = Arc::clone(&self.shared);
        let accepts = move || {
            while let Ok((stream, _)) = listener.accept() {
                if shared.is_closing.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                aside(move || shared.serve(stream));
            }
        };
        *lock(&self.listening) = Some(aside(accepts));
    }

    fn leave(&self) {
        let Some(listening) = lock(&self.listening).take() else {
            return;
        };
        self.shared.is_closing.store(true, Ordering::Relaxed);
        // It is looked at when somebody comes.
        drop(TcpStream::connect(self.shared.address));
        listening.join().unwrap();
    }

    fn cut(&self) {
        for stream in lock(&self.shared.open).drain(..) {
            // It may have ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Wild {
    fn drop(&mut self) {
        self.leave();
        self.cut();
    }
}

// === impl Shared ===

impl Shared {
    fn act(&self) -> Act {
        *lock(&self.act)
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        lock(&self.open).push(stream.try_clone().unwrap());
        // Ends in an error sooner or later; a copy of the socket is held for cutting.
        let _ended = self.converse(&mut stream);
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn converse(&self, stream: &mut TcpStream) -> io::Result<()> {
        if let Act::Greets(bytes) = self.act() {
            stream.write_all(bytes)?;
            return drain(stream);
        }
        stream.read_exact(&mut [0; PREFACE_BYTES])?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
        let mut asked: HashMap<u32, Vec<u8>> = HashMap::new();
        let mut has_said_ready = false;
        loop {
            let Frame {
                kind,
                flags,
                stream: id,
                payload,
            } = read_frame(stream)?;
            match (kind, flags) {
                (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
                (PING, 0) => stream.write_all(&frame(PING, ACK, 0, &payload))?,
                (DATA, _) => {
                    asked.entry(id).or_default().extend(&payload);
                    if let Ok(taken @ 1..) = u32::try_from(payload.len()) {
                        let both =
                            [0, id].map(|of| frame(WINDOW_UPDATE, 0, of, &taken.to_be_bytes()));
                        stream.write_all(&both.concat())?;
                    }
                    if flags & END_STREAM != 0 {
                        let message = asked.remove(&id).unwrap_or_default();
                        let message = message.get(5..).unwrap_or_default();
                        let is_compute = oip::ModelInferRequest::decode(message)
                            .is_ok_and(|request| !request.inputs.is_empty());
                        if is_compute {
                            self.calls.fetch_add(1, Ordering::Relaxed);
                            compute(self.act(), stream, id, message)?;
                        } else {
                            has_said_ready = self.about(stream, id, has_said_ready)?;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Answers a question about the model; says whether the next one is for its metadata.
    fn about(&self, stream: &mut TcpStream, id: u32, has_said_ready: bool) -> io::Result<bool> {
        let act = self.act();
        let answer = match (has_said_ready, act) {
            (_, Act::Refuses(status)) => no_message(id, status, "no such model"),
            (false, Act::Silent) => Vec::new(),
            (false, act) => {
                let ready = !matches!(act, Act::Unready);
                let told = oip::ModelReadyResponse { ready };
                stream.write_all(&whole(id, &grpc(&told.encode_to_vec())))?;
                return Ok(ready);
            }
            (true, Act::SaysBytes(bytes)) => whole(id, &bytes()),
            (true, act) => {
                let mut metadata = metadata();
                if let Act::Says(change) = act {
                    change(&mut metadata);
                }
                whole(id, &grpc(&metadata.encode_to_vec()))
            }
        };
        stream.write_all(&answer)?;
        Ok(false)
    }
}

fn compute(act: Act, stream: &mut TcpStream, id: u32, message: &[u8]) -> io::Result<()> {
    match act {
        Act::Message(change) => {
            let mut answer = sum(message);
            change(&mut answer);
            stream.write_all(&whole(id, &grpc(&answer.encode_to_vec())))
        }
        Act::Body(body) => stream.write_all(&whole(id, &body())),
        Act::Status(status, words) => stream.write_all(&no_message(id, status, words)),
        Act::Frames(frames) => stream.write_all(&frames(id)),
        Act::Ends(frames) => {
            stream.write_all(&frames(id))?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        Act::Drips(frames) => {
            for byte in frames(id) {
                stream.write_all(&[byte])?;
                sleep(DRIP);
            }
            Ok(())
        }
        Act::Floods(frames) => {
            let mut answers = stream.try_clone()?;
            aside(move || drain(&mut answers));
            let (first, again) = frames(id);
            stream.write_all(&first)?;
            loop {
                stream.write_all(&again)?;
            }
        }
        _ => stream.write_all(&whole(id, &grpc(&sum(message).encode_to_vec()))),
    }
}

/// A status, and nothing before it but the head.
fn no_message(id: u32, status: &str, words: &str) -> Vec<u8> {
    [super::frames::head(id), trailers(id, status, words)].concat()
}

/// Reads to the end.
fn drain(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(drop)
}
