//! Events on disk: `STATE/events.jsonl`, one JSON object a line, and `events.1.jsonl`, which it was before. A file that
//! has reached its size becomes the older one; so there are at most two of them, whatever happens.
//!
//! What cannot be written is not worth stopping for: it is logged, and what comes later is tried again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{AT_FDCWD, renameat};
use tokio::sync::{mpsc, oneshot};

use super::Event;
use crate::telemetry::Limiter;

/// One file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Events written at a time.
const BATCH_MAX: usize = 256;

/// What comes to be written.
#[derive(Debug)]
pub(super) enum Entry {
    Event(Arc<Event>),
    /// All before it are written.
    Flush(oneshot::Sender<()>),
}

/// The two files.
#[derive(Debug)]
pub(super) struct Journal {
    current: PathBuf,
    older: PathBuf,
    file: Option<File>,
    bytes: u64,
    /// The last write has failed, perhaps in the middle of a line.
    is_torn: bool,
}

impl Journal {
    /// The files of a state directory, and what is in them. Lines that cannot be read are passed over: a crash may have
    /// cut one.
    pub(super) fn open(state_dir: &Path) -> (Self, Vec<Event>) {
        let mut journal = Self {
            current: state_dir.join("events.jsonl"),
            older: state_dir.join("events.1.jsonl"),
            file: None,
            bytes: 0,
            is_torn: false,
        };
        let mut known = read(&journal.older);
        known.extend(read(&journal.current));
        known.sort_by_key(|event| event.number);
        journal.reopen();
        journal.is_torn = is_torn(&journal.current, journal.bytes);
        (journal, known)
    }

    /// Writes what comes, away from the thread that serves.
    pub(super) async fn run(mut self, mut entries: mpsc::Receiver<Entry>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while entries.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let taken = std::mem::take(&mut batch);
            let written = tokio::task::spawn_blocking(move || {
                self.write(&taken);
                (self, taken)
            });
            let Ok((journal, taken)) = written.await else {
                return;
            };
            self = journal;
            for entry in taken {
                if let Entry::Flush(done) = entry {
                    let _ = done.send(());
                }
            }
        }
    }

    fn write(&mut self, entries: &[Entry]) {
        let mut text = Vec::new();
        if self.is_torn {
            text.push(b'\n');
        }
        for entry in entries {
            if let Entry::Event(event) = entry
                && serde_json::to_writer(&mut text, &**event).is_ok()
            {
                text.push(b'\n');
            }
        }
        if text.len() <= usize::from(self.is_torn) {
            return;
        }
        if self.bytes >= FILE_BYTES_MAX {
            self.turn();
        }
        let written = self.append(&text);
        self.is_torn = written.is_err();
        if let Err(error) = written {
            static LINES: Limiter = Limiter::new();
            if LINES.allows() {
                tracing::error!(path = %self.current.display(), "events are not written: {error}");
            }
            self.reopen();
        }
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.write_all(text)?;
        let len = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(len);
        Ok(())
    }

    /// The current file becomes the older one.
    fn turn(&mut self) {
        // By hand: the standard library renames by a call that the daemon's jail has not.
        let turned = renameat(AT_FDCWD, &self.current, AT_FDCWD, &self.older);
        if let Err(error) = turned {
            tracing::error!(path = %self.current.display(), "cannot be put aside: {error}");
            return;
        }
        self.reopen();
    }

    fn reopen(&mut self) {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.current);
        let file = file.and_then(|file| Ok((file.metadata()?.len(), file)));
        match file {
            Ok((bytes, file)) => (self.bytes, self.file) = (bytes, Some(file)),
            Err(error) => {
                tracing::error!(path = %self.current.display(), "cannot be opened: {error}");
                self.file = None;
            }
        }
    }
}

/// Whether the last line was not written to its end.
fn is_torn(path: &Path, bytes: u64) -> bool {
    let mut last = [b'\n'];
    let Some(at) = bytes.checked_sub(1) else {
        return false;
    };
    let read = File::open(path).and_then(|file| file.read_at(&mut last, at));
    read.is_ok() && last != [b'\n']
}

/// What a file holds; as much of it as one may have.
fn read(path: &Path) -> Vec<Event> {
    let mut text = Vec::new();
    let max = FILE_BYTES_MAX.saturating_mul(2);
    match File::open(path) {
        Ok(file) => {
            if let Err(error) = file.take(max).read_to_end(&mut text) {
                tracing::warn!(path = %path.display(), "cannot be read to its end: {error}");
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), "cannot be read: {error}"),
    }
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}
