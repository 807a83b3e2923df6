//! One worker: what it is told, what it answers, how it ends.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nn_shm::{Blob, fds};
use nn_worker_wire::{
    End, FromSpawner, FromWorker, Interrupt, Part, Precision, ToSpawner, ToWorker, decode, encode,
};

use super::{Jailer, recv};

/// A worker.
#[derive(Debug)]
pub struct Jailed<'a> {
    pub(super) jailer: &'a Jailer,
    pub(super) id: u32,
    pub(super) pid: u32,
    pub(super) control: OwnedFd,
    pub(super) interrupts: OwnedFd,
    pub(super) log: File,
    pub(super) ended: Option<End>,
}

/// How a worker ended, and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Its log.
    pub log: String,
}

// === impl Jailed ===

impl Jailed<'_> {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a frame. A worker that is gone does not hear it.
    ///
    /// # Panics
    /// When the frame cannot be written.
    pub fn tell(&self, frame: &ToWorker, fds: &[BorrowedFd<'_>]) {
        let bytes = encode(frame).expect("a small frame");
        let _ = fds::send(self.control.as_fd(), &bytes, fds);
    }

    /// Has it stop this job.
    ///
    /// # Panics
    /// Never: the frame is small.
    pub fn interrupt(&self, job: u64) {
        let bytes = encode(&Interrupt { job }).expect("a small frame");
        let _ = fds::send(self.interrupts.as_fd(), &bytes, &[]);
    }

    /// Sends a model.
    ///
    /// # Panics
    /// When there is no memory for it.
    pub fn model(&self, bytes: &[u8]) {
        let size = u64::try_from(bytes.len()).expect("a length");
        let blob = Blob::create(size, |file| file.write_all(bytes)).expect("a blob");
        let part = Part {
            name: "model.onnx".into(),
            bytes: size,
        };
        let frame = ToWorker::Model {
            format: "onnx".into(),
            parts: vec![part],
            precision: Precision::F32,
        };
        self.tell(&frame, &[blob.as_fd()]);
    }

    /// Sends a packet that only a worker which breaks the rules takes: a byte, and the descriptor of sealed memory.
    ///
    /// # Panics
    /// When there is no memory for it.
    pub fn stray(&self, bytes: &[u8]) {
        let size = u64::try_from(bytes.len()).expect("a length");
        let blob = Blob::create(size, |file| file.write_all(bytes)).expect("a blob");
        let _ = fds::send(self.control.as_fd(), b"x", &[blob.as_fd()]);
    }

    /// The next frame; `None` when the worker is gone.
    ///
    /// # Panics
    /// When it neither answers nor ends, or sends what is no frame.
    #[expect(clippy::panic, reason = "a test's helper fails with it")]
    pub fn hear(&self) -> Option<FromWorker> {
        match recv(self.control.as_fd(), 0) {
            Ok((bytes, _)) if bytes.is_empty() => None,
            Ok((bytes, _)) => Some(decode(&bytes).expect("a frame")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("the worker does not answer: {error}"),
        }
    }

    /// Waits for Ready.
    ///
    /// # Panics
    /// When something else comes, or the worker ends.
    #[must_use]
    #[expect(clippy::panic, reason = "a test's helper fails with it")]
    pub fn ready(self) -> Self {
        match self.hear() {
            Some(FromWorker::Ready { .. }) => self,
            other => panic!("expected Ready, got {other:?}; {:?}", self.end()),
        }
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn end(mut self) -> Ended {
        let end = self.wait().expect("the worker ends");
        let mut text = Vec::new();
        // What a child of a worker would still hold open is not waited for.
        let _ = self.log.read_to_end(&mut text);
        let log = String::from_utf8_lossy(&text).into_owned();
        Ended { end, log }
    }

    /// Kills it.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn kill(self) -> Ended {
        self.send_kill();
        self.end()
    }

    fn send_kill(&self) {
        let _ = self.jailer.tell(&ToSpawner::Kill { worker: self.id }, &[]);
    }

    fn wait(&mut self) -> io::Result<End> {
        loop {
            let (bytes, _) = recv(self.jailer.socket.as_fd(), 0)?;
            match decode(&bytes).map_err(io::Error::other)? {
                FromSpawner::Exited { worker, end } if worker == self.id => {
                    self.ended = Some(end);
                    return Ok(end);
                }
                FromSpawner::Exited { .. }
                | FromSpawner::Tried { .. }
                | FromSpawner::Spawned { .. }
                | FromSpawner::Jailed
                | FromSpawner::Attested { .. } => {}
            }
        }
    }
}

impl Drop for Jailed<'_> {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.send_kill();
            let _ = self.wait();
        }
    }
}
