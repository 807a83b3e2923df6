//! Frames that nobody waits to see sent: releases, detaches, probes. One task sends them in order.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use nn_tensor::{ArenaId, SegmentId, SlotRef};
use nn_worker_wire::ToWorker;
use tokio::sync::Notify;

use super::Worker;
use crate::limits::RELEASE_SLOTS_MAX;

/// What is yet to be sent. It is bounded by what there is: slots in use, arenas mapped, one
/// probe, one trim.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: Mutex<Vec<ToWorker>>,
    filled: Notify,
}

impl Outbox {
    pub(crate) fn release(&self, slots: &[SlotRef]) {
        for slots in slots.chunks(RELEASE_SLOTS_MAX) {
            self.put(|frames| {
                let fresh = slots.iter().map(|&slot| slot.into());
                match frames.last_mut() {
                    Some(ToWorker::Release { slots: last })
                        if last.len().saturating_add(slots.len()) <= RELEASE_SLOTS_MAX =>
                    {
                        last.extend(fresh);
                    }
                    _ => frames.push(ToWorker::Release {
                        slots: fresh.collect(),
                    }),
                }
            });
        }
    }

    pub(crate) fn probe(&self) {
        self.put(|frames| frames.push(ToWorker::Probe));
    }

    pub(crate) fn detach(&self, arena: ArenaId) {
        self.put(|frames| frames.push(ToWorker::Detach { arena: arena.0 }));
    }

    pub(crate) fn unmap(&self, arena: ArenaId, segment: SegmentId) {
        let frame = ToWorker::Unmap {
            arena: arena.0,
            segment: segment.0,
        };
        self.put(|frames| frames.push(frame));
    }

    pub(crate) fn trim(&self) {
        self.put(|frames| {
            if !frames.contains(&ToWorker::Trim) {
                frames.push(ToWorker::Trim);
            }
        });
    }

    fn put(&self, add: impl FnOnce(&mut Vec<ToWorker>)) {
        add(&mut self.frames.lock().unwrap_or_else(PoisonError::into_inner));
        self.filled.notify_one();
    }

    fn take(&self) -> Vec<ToWorker> {
        std::mem::take(&mut self.frames.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends what is put in, until the worker is gone.
pub(crate) async fn empty(worker: Weak<Worker>) {
    while let Some(worker) = worker.upgrade() {
        tokio::select! {
            () = worker.outbox.filled.notified() => {}
            () = worker.gone() => return,
        }
        for frame in worker.outbox.take() {
            worker.send(&frame).await;
        }
    }
}

/// Starts the task that sends what is put into a worker's outbox.
pub(crate) fn start(worker: &Arc<Worker>) {
    tokio::spawn(empty(Arc::downgrade(worker)));
}
