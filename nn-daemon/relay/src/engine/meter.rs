//! What an engine sends and no call hears: questions, settings, windows, frames of no kind, heads before the head. HTTP/2 has
//! no bound for it, and takes it as long as it comes. Here it is counted, and ends its connection. And however much there is
//! to read, calls have their turn in between: what waits for them lies in memory.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::life::Life;

/// The most that is read before others have their turn. A frame of ten bytes is some three hundred where it waits.
const TURN_BYTES_MAX: usize = 64 * 1024;

/// A connection whose bytes are counted.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    life: Rc<Life>,
    unheard_max: u64,
    /// Read in this turn.
    turn: usize,
}

// === impl Metered ===

impl<S> Metered<S> {
    /// Ends once so many bytes have come with no call hearing of them.
    pub fn new(stream: S, life: Rc<Life>, unheard_max: u64) -> Self {
        Self {
            stream,
            life,
            unheard_max,
            turn: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.turn >= TURN_BYTES_MAX {
            this.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_pending() {
            this.turn = 0;
        }
        ready!(read)?;
        let read = buf.filled().len().saturating_sub(before);
        this.turn = this.turn.saturating_add(read);
        let unheard = this.life.comes(u64::try_from(read).unwrap_or(u64::MAX));
        if unheard > this.unheard_max {
            let why = format!("{unheard} bytes that no call has heard of");
            return Poll::Ready(Err(io::Error::other(why)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const MAX: u64 = 1 << 20;

    /// Reads once; gives how much came.
    fn read(metered: &mut Metered<&[u8]>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; 4096];
        let mut buf = ReadBuf::new(&mut bytes);
        let mut cx = Context::from_waker(Waker::noop());
        ready!(Pin::new(metered).poll_read(&mut cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    #[test]
    fn others_have_their_turn_however_much_there_is() {
        let bytes = vec![0; 3 * TURN_BYTES_MAX];
        let mut metered = Metered::new(&bytes[..], Rc::default(), MAX);
        let (mut came, mut turns) = (0, 0);
        while came < bytes.len() {
            match read(&mut metered) {
                Poll::Ready(read) => came += read.unwrap(),
                Poll::Pending => turns += 1,
            }
        }
        assert_eq!(turns, 2);
    }

    #[test]
    fn a_connection_ends_by_what_no_call_hears_and_not_by_what_one_does() {
        let bytes = vec![0; 5 << 20];
        let life = Rc::<Life>::default();
        let mut metered = Metered::new(&bytes[..], Rc::clone(&life), MAX);
        let mut came = 0;
        while came < 3 << 20 {
            if let Poll::Ready(read) = read(&mut metered) {
                came += read.unwrap();
                life.heard();
            }
        }
        // As often as it takes to read all of the rest, twice.
        let ended = (0..1024).find_map(|_| match read(&mut metered) {
            Poll::Ready(read) => read.err(),
            Poll::Pending => None,
        });
        assert!(ended.unwrap().to_string().contains("no call"));
    }
}
