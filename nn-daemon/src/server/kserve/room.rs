//! How much of clients' messages may lie in the daemon's memory on its way into arenas: so many bytes of each uid, whatever
//! its connections; over TCP of each certificate, and of all others together, for addresses have no end. A message waits for its part of that before it is taken, and the client with it; not for long.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use nn_patience::timeout;
use nn_proto::kserve::{HEAD_BYTES_MAX, TYPED_BYTES_MAX, TYPED_GROWTH};
use nn_tensor::{Fault, Reason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;

use super::refused;
use crate::kserve::WAITING_MAX;
use crate::peer::Whose;
use crate::server::Caller;

/// What is counted together.
const UNIT_BYTES: usize = 1024;

/// How long a message waits for others to have been taken.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(10);

/// A message of gRPC begins with a byte of flags and four of length.
const HEAD_BYTES: usize = 5;

/// Each client's.
#[derive(Debug)]
pub(super) struct Rooms {
    units: usize,
    by_client: Mutex<HashMap<Room, Weak<Semaphore>>>,
}

/// Whose a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Room {
    Of(Whose),
    OfAddresses,
}

/// One message's part, for as long as its bytes are there.
#[derive(Debug)]
pub(super) struct Charge(#[expect(dead_code, reason = "held, and dropped")] OwnedSemaphorePermit);

/// Those of one call's messages, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Charges(Arc<Mutex<VecDeque<Charge>>>);

/// A call's messages on their way in.
#[derive(Debug)]
pub(super) struct Incoming {
    body: Body,
    room: Arc<Semaphore>,
    /// Places of those that wait, of the connection.
    waiters: Arc<Semaphore>,
    /// All that there is of it: a message that weighs more waits for that.
    units_max: usize,
    charges: Charges,
    message_max: usize,
    heads: Heads,
    /// What has come and has not been given on.
    held: Bytes,
    /// The begin of a message, until there is room for all of it.
    begun: Option<Bytes>,
    waiting: Option<Waiting>,
}

type Acquired = Result<OwnedSemaphorePermit, Fault>;

/// A wait for room.
struct Waiting(Pin<Box<dyn Future<Output = Acquired> + Send>>);

/// Where a body stands among its messages.
#[derive(Debug, Default)]
struct Heads {
    head: Vec<u8>,
    left: usize,
}

/// What a message may come to in memory: one that may have elements in the place of bytes, as large as they may grow.
fn weight(len: usize) -> usize {
    if len <= TYPED_BYTES_MAX.saturating_add(HEAD_BYTES_MAX) {
        len.saturating_mul(TYPED_GROWTH)
    } else {
        len
    }
}

fn full() -> Fault {
    Fault::of(Reason::MessagesFull).expected(format!("room within {ROOM_WAIT_MAX:?}"))
}

// === impl Rooms ===

impl Rooms {
    /// Of so many bytes each.
    pub(super) fn new(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let units = bytes.div_ceil(UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            units,
            by_client: Mutex::default(),
        }
    }

    /// A client's: the same for all its calls.
    fn of(&self, whose: Whose) -> Arc<Semaphore> {
        let whose = match whose {
            Whose::Uid(_) | Whose::Name(_) => Room::Of(whose),
            Whose::Address(_) => Room::OfAddresses,
        };
        let all = self.by_client.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = all.get(&whose).and_then(Weak::upgrade) {
            return room;
        }
        all.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Semaphore::new(self.units));
        all.insert(whose, Arc::downgrade(&room));
        room
    }
}

// === impl Charges ===

impl Charges {
    fn push(&self, permit: OwnedSemaphorePermit) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(Charge(permit));
    }

    /// The next message's.
    pub(super) fn pop(&self) -> Option<Charge> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.pop_front()
    }
}

// === impl Incoming ===

impl Incoming {
    /// Of messages of at most so many bytes, from a client.
    pub(super) fn new(body: Body, rooms: &Rooms, caller: &Caller, charges: Charges) -> Self {
        Self {
            body,
            room: rooms.of(caller.peer.whose()),
            waiters: caller.clients.waiters(),
            units_max: rooms.units,
            charges,
            message_max: usize::MAX,
            heads: Heads::default(),
            held: Bytes::new(),
            begun: None,
            waiting: None,
        }
    }

    /// The same for messages of at most so many bytes.
    pub(super) fn at_most(self, bytes: usize) -> Self {
        Self {
            message_max: bytes,
            ..self
        }
    }

    /// What may be given on of what has come; `None` where a message begins, which waits for room first.
    fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let (taken, begins) = self.heads.step(&self.held);
        let part = self.held.split_to(taken);
        let Some(len) = begins else {
            return Ok(Some(part));
        };
        let max = self.message_max;
        if len > max {
            return Err(Fault::of(Reason::MessageTooLarge)
                .expected(format!("at most {max} bytes"))
                .got(format!("{len} bytes")));
        }
        self.waiting = Some(self.wait(len)?);
        self.begun = Some(part);
        Ok(None)
    }

    /// Waits for the room of one message.
    fn wait(&self, len: usize) -> Result<Waiting, Fault> {
        let units = weight(len).div_ceil(UNIT_BYTES).min(self.units_max);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room);
        if let Ok(permit) = Arc::clone(&room).try_acquire_many_owned(units) {
            let acquired: Acquired = Ok(permit);
            return Ok(Waiting(Box::pin(std::future::ready(acquired))));
        }
        let place = Arc::clone(&self.waiters).try_acquire_owned();
        let place = place.map_err(|_| {
            let busy = Fault::of(Reason::MessagesFull);
            busy.expected(format!(
                "at most {WAITING_MAX} of a connection that wait for room"
            ))
        })?;
        Ok(Waiting(Box::pin(async move {
            let acquired = timeout(ROOM_WAIT_MAX, room.acquire_many_owned(units)).await;
            drop(place);
            match acquired {
                Ok(Ok(permit)) => Ok(permit),
                Ok(Err(_)) | Err(_) => Err(full()),
            }
        })))
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(waiting) = self.waiting.as_mut() {
                let acquired = ready!(waiting.0.as_mut().poll(cx));
                self.waiting = None;
                match acquired {
                    Ok(permit) => self.charges.push(permit),
                    Err(fault) => return Poll::Ready(Some(Err(refused(&fault)))),
                }
            }
            if let Some(begun) = self.begun.take() {
                return Poll::Ready(Some(Ok(Frame::data(begun))));
            }
            if !self.held.is_empty() {
                match self.next() {
                    Ok(Some(part)) => return Poll::Ready(Some(Ok(Frame::data(part)))),
                    Ok(None) => continue,
                    Err(fault) => return Poll::Ready(Some(Err(refused(&fault)))),
                }
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(bytes) => self.held = bytes,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.begun.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

// === impl Heads ===

impl Heads {
    /// Follows bytes to the end of a message, or of what tells of one; gives how many these are, and how long the message
    /// is that begins behind them.
    fn step(&mut self, bytes: &[u8]) -> (usize, Option<usize>) {
        if self.left > 0 {
            let taken = self.left.min(bytes.len());
            self.left = self.left.saturating_sub(taken);
            return (taken, None);
        }
        let wanted = HEAD_BYTES.saturating_sub(self.head.len());
        let head = bytes.get(..wanted).unwrap_or(bytes);
        self.head.extend_from_slice(head);
        let [_, a, b, c, d] = *self.head.as_slice() else {
            return (head.len(), None);
        };
        let len = u32::from_be_bytes([a, b, c, d]);
        self.left = usize::try_from(len).unwrap_or(usize::MAX);
        self.head.clear();
        (head.len(), Some(self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::NameId;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let stream = [
            &[0, 0, 0, 0, 3][..],
            b"abc",
            &[0, 0, 0, 0, 0],
            &[0, 0, 0, 1, 0],
        ]
        .concat();
        for cut in 0..=stream.len() {
            let (first, second) = stream.split_at(cut);
            let mut heads = Heads::default();
            let mut lens = Vec::new();
            for mut part in [first, second] {
                while !part.is_empty() {
                    let (taken, begins) = heads.step(part);
                    lens.extend(begins);
                    part = &part[taken..];
                }
            }
            assert_eq!(lens, [3, 0, 256], "{cut}");
        }
    }

    #[test]
    fn a_uid_and_a_certificate_have_a_room_each_and_addresses_one_together() {
        let rooms = Rooms::new(1 << 20);
        let one = rooms.of(Whose::Uid(1));
        let is_same = |whose| Arc::ptr_eq(&one, &rooms.of(whose));
        assert!(is_same(Whose::Uid(1)) && !is_same(Whose::Uid(2)));
        let (first, second) = (Whose::Name(NameId(1)), Whose::Name(NameId(2)));
        assert!(!is_same(first) && !Arc::ptr_eq(&rooms.of(first), &rooms.of(second)));
        let address = |text: &str| rooms.of(Whose::Address(text.parse().unwrap()));
        let some = address("10.0.0.1");
        assert!(Arc::ptr_eq(&some, &address("10.0.0.2")) && !Arc::ptr_eq(&some, &one));
        assert_eq!(one.available_permits(), 1024);
    }

    #[test]
    fn what_may_grow_weighs_what_it_may_grow_to() {
        assert_eq!(weight(1000), 8000);
        assert_eq!(weight(64 << 20), 64 << 20);
    }
}
