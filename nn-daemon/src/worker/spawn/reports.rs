//! What the spawner reports, and who waits for which of it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::sys::signal::Signal;
use nn_worker_wire as wire;
use tokio::sync::oneshot;

use super::super::memory::{Memory, field};
use super::{Spawner, Trial};
use crate::cgroup::WorkerGroup;

/// What comes with a start.
const FDS_MAX: usize = 2;

/// More than any `smaps_rollup` has.
const ROLLUP_BYTES_MAX: usize = 4 * 1024;

/// More than any `status` has.
const STATUS_BYTES_MAX: usize = 8 * 1024;

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) starting: HashMap<u32, oneshot::Sender<Result<wire::Born, String>>>,
    /// Who waits for the result of a trial, and of which namespaces.
    pub(super) trial: Option<(u64, oneshot::Sender<Trial>)>,
    /// Who waits for the spawner's own jail.
    pub(super) jail: Option<oneshot::Sender<()>>,
    /// Who waits for what the kernel says of a worker.
    pub(super) attesting: HashMap<u32, oneshot::Sender<Result<wire::Report, String>>>,
    pub(super) alive: HashMap<u32, Alive>,
    /// Those among them that have no model, and take no model's place.
    pub(super) canaries: HashSet<u32>,
}

/// A worker that has not been reported as ended: its group, if it has one, is needed until then.
#[derive(Debug)]
pub(super) struct Alive {
    pub(super) exited: oneshot::Sender<wire::End>,
    pub(super) group: Option<Arc<WorkerGroup>>,
    /// Its `/proc/PID/status`, which the daemon could not open itself.
    pub(super) status: Option<File>,
    /// Its `/proc/PID/smaps_rollup`, likewise.
    pub(super) rollup: Option<Arc<File>>,
}

impl Alive {
    /// A death that the kernel chose for want of memory in the group is the one that a worker itself reports by this
    /// status.
    fn tell(self, end: wire::End) -> Result<(), wire::End> {
        let short_of_memory = |group: &Arc<WorkerGroup>| group.was_short_of_memory();
        let killed = end == wire::End::Signal(Signal::SIGKILL as i32);
        let end = if killed && self.group.as_ref().is_some_and(short_of_memory) {
            wire::End::Exit(wire::status::OUT_OF_MEMORY.into())
        } else {
            end
        };
        self.exited.send(end)
    }
}

impl State {
    /// Workers that have a model, or are going to.
    pub(super) fn models(&self) -> usize {
        self.alive.len().saturating_sub(self.canaries.len())
    }

    pub(super) fn forget(&mut self, worker: u32) -> Option<Alive> {
        self.attesting.remove(&worker);
        self.canaries.remove(&worker);
        self.alive.remove(&worker)
    }
}

impl Spawner {
    /// Whether there is a place for one more worker with a model.
    pub(crate) fn has_room(&self) -> bool {
        self.state().models() < self.workers_max
    }

    /// Whether a worker's process is one that could do something yet, and not on its way out; `None` where that cannot
    /// be learnt.
    pub(crate) fn lives(&self, worker: u32) -> Option<bool> {
        match self.status(worker)? {
            Ok(text) => Some(lives(&text)),
            // It has been waited for.
            Err(_) => Some(false),
        }
    }

    /// `None` where it is not in the daemon's hands.
    fn status(&self, worker: u32) -> Option<io::Result<String>> {
        let state = self.state();
        let status = state.alive.get(&worker)?.status.as_ref()?;
        let mut text = vec![0; STATUS_BYTES_MAX];
        let read = status.read_at(&mut text, 0);
        Some(read.map(|read| {
            let text = text.get(..read).unwrap_or_default();
            String::from_utf8_lossy(text).into_owned()
        }))
    }

    /// What a worker has of the machine's memory, arenas and shared code included; 0 where that cannot be learnt.
    pub(crate) fn resident_bytes(&self, worker: u32) -> u64 {
        let text = self.status(worker).and_then(Result::ok).unwrap_or_default();
        field(&text, "VmRSS:").unwrap_or(0)
    }

    /// What a worker has of the machine's memory, and what of that is its own; `None` where that cannot be learnt. The
    /// kernel counts pages for it: not for the thread that serves.
    pub(crate) fn measure(&self, worker: u32) -> Option<Memory> {
        let rollup = self.state().alive.get(&worker)?.rollup.clone();
        // Without the lock: it may take milliseconds.
        let measured = rollup.and_then(|rollup| {
            let mut text = [0; ROLLUP_BYTES_MAX];
            let read = rollup.read_at(&mut text, 0).ok()?;
            Memory::of_rollup(&String::from_utf8_lossy(text.get(..read)?))
        });
        measured.or_else(|| Memory::of_status(&self.status(worker)?.ok()?))
    }

    /// Passes a report on to whoever waits for it.
    fn take(&self, frame: wire::FromSpawner, fds: Vec<OwnedFd>) {
        let mut state = self.state();
        match frame {
            wire::FromSpawner::Spawned { worker, result } => {
                let waiting = state.starting.remove(&worker);
                // The pidfd that comes first is not needed: the spawner reports every end.
                if let (Some(alive), Some(status)) =
                    (state.alive.get_mut(&worker), fds.into_iter().nth(1))
                {
                    alive.status = Some(status.into());
                }
                let _ = waiting.map(|waiting| waiting.send(result));
            }
            wire::FromSpawner::Tried {
                namespaces,
                own_uids,
                result,
            } => {
                let waiting = state.trial.take_if(|(of, _)| *of == namespaces);
                let _ = waiting.map(|(_, waiting)| waiting.send(Trial { own_uids, result }));
            }
            wire::FromSpawner::Exited { worker, end } => {
                let ended = state.forget(worker);
                drop(state);
                let _ = ended.map(|ended| ended.tell(end));
            }
            wire::FromSpawner::Jailed => {
                let waiting = state.jail.take();
                let _ = waiting.map(|waiting| waiting.send(()));
            }
            wire::FromSpawner::Attested { worker, result } => {
                if let Some(alive) = state.alive.get_mut(&worker) {
                    alive.rollup = fds.into_iter().next().map(|fd| Arc::new(fd.into()));
                }
                let waiting = state.attesting.remove(&worker);
                let _ = waiting.map(|waiting| waiting.send(result));
            }
        }
    }
}

/// A zombie does not, nor a process that has given up its memory on its way to that.
fn lives(status: &str) -> bool {
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let state = value("State:").map_or("", str::trim_start);
    !state.starts_with(['Z', 'X']) && value("VmSize:").is_some()
}

/// Takes the spawner's reports until it is gone.
pub(super) async fn listen(spawner: Arc<Spawner>) {
    let mut buffer = vec![0; wire::FRAME_BYTES_MAX];
    loop {
        let packet = match spawner.socket.recv(&mut buffer, FDS_MAX).await {
            Ok(packet) if packet.len > 0 => packet,
            // Without room for a descriptor the report is lost, not the spawner: whoever waits for it
            // gives up in time.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!("a report of the spawner is lost: {error}");
                continue;
            }
            Ok(_) | Err(_) => break,
        };
        match wire::decode(buffer.get(..packet.len).unwrap_or_default()) {
            Ok(frame) => spawner.take(frame, packet.fds),
            Err(error) => {
                tracing::error!("the spawner sent {error}");
                break;
            }
        }
    }
    {
        let mut state = spawner.state();
        state.starting.clear();
        state.trial = None;
        state.jail = None;
        state.attesting.clear();
        state.alive.clear();
    }
    spawner.lost.send_replace(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_while_it_has_memory_and_is_no_zombie() {
        let texts = [
            "Name:\tnn-worker\nState:\tS (sleeping)\nVmSize:\t  9 kB\n",
            "Name:\tnn-worker\nState:\tT (stopped)\nVmSize:\t  9 kB\n",
            "Name:\tnn-worker\nState:\tZ (zombie)\nVmSize:\t  9 kB\n",
            "Name:\tnn-worker\nState:\tR (running)\n",
            "",
        ];
        assert_eq!(texts.map(lives), [true, true, false, false, false]);
    }
}
