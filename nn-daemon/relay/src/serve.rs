//! The loop: frames of the daemon, interrupts, and the end. Jobs are tasks besides it.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use nn_tensor::{ArenaId, SegmentId, SlotRef};
use nn_worker_base::arenas::Grant;
use nn_worker_base::{Exit, log};
use nn_worker_wire::{FromWorker, Interrupt, Role, Slot, ToWorker};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::desk::Desk;
use crate::job::Job;
use crate::packets::{Buffer, Packets};
use crate::room::Growth;

/// The most slots one Release may name.
const RELEASE_MAX: usize = 1024;

/// How often the daemon hears of the endpoints at most.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Serves until the end.
pub(crate) async fn serve(desk: Desk, interrupts: Packets<Interrupt>) -> Exit {
    let desk = Rc::new(desk);
    spawn_local(report(Rc::clone(&desk)));
    spawn_local(flush(Rc::clone(&desk)));
    let (mut frames, mut packets) = (Buffer::default(), Buffer::default());
    let exit = loop {
        let step = tokio::select! {
            biased;
            interrupt = interrupts.recv(&mut packets) => interrupt.map(|(Interrupt { job }, _)| {
                desk.interrupt(job);
            }),
            frame = desk.control.recv(&mut frames) => {
                frame.and_then(|(frame, fds)| take(&desk, frame, fds))
            }
            () = desk.ended.notified() => Err(desk.exit.take().unwrap_or(Exit::Clean)),
        };
        if let Err(exit) = step {
            break exit;
        }
    };
    log::last(&format!("{} jobs", desk.done_count()));
    exit
}

/// Sends what waited for the daemon to read; ends with its socket, and the relay with it.
async fn flush(desk: Rc<Desk>) {
    let exit = desk.control.flush().await;
    desk.end(exit);
}

/// Tells of the endpoints whenever there is something new.
async fn report(desk: Rc<Desk>) {
    let mut told = Vec::new();
    loop {
        desk.engine.changed().await;
        let states = desk.engine.states();
        if states != told {
            told.clone_from(&states);
            desk.tell(&FromWorker::Endpoints { states });
        }
        sleep(REPORT_EVERY).await;
    }
}

fn take(desk: &Rc<Desk>, frame: ToWorker, mut fds: Vec<OwnedFd>) -> Result<(), Exit> {
    let fd = fds.pop();
    let brings_one = matches!(frame, ToWorker::Attach { .. });
    if !fds.is_empty() || fd.is_some() != brings_one {
        return Err(Exit::protocol(
            "a frame with the wrong number of descriptors",
        ));
    }
    match (frame, fd) {
        (ToWorker::Run(run), _) => {
            let job = run.job;
            let begun = Job::new(desk, run)?;
            spawn_local(begun.work(Rc::clone(desk), desk.begin(job)?));
        }
        (ToWorker::Release { slots }, _) if slots.len() <= RELEASE_MAX => release(desk, slots),
        (
            ToWorker::Attach {
                arena,
                segment,
                bytes,
                role,
                // Inputs are copied in any case, each byte once.
                shared: _,
            },
            Some(fd),
        ) => {
            let grant = Grant {
                arena: ArenaId(arena),
                segment: SegmentId(segment),
                bytes,
                role,
                fd,
            };
            attach(desk, grant)?;
        }
        (ToWorker::Detach { arena }, _) => {
            let arena = ArenaId(arena);
            desk.arenas.borrow_mut().detach(arena);
            desk.rooms.borrow_mut().forget(arena);
        }
        (ToWorker::Unmap { arena, segment }, _) => {
            let mut arenas = desk.arenas.borrow_mut();
            arenas.unmap(ArenaId(arena), SegmentId(segment));
        }
        (ToWorker::Trim, _) => trim(desk)?,
        (ToWorker::Probe, _) => desk.control.send(&FromWorker::Alive)?,
        (ToWorker::Refuse { arena, too_large }, _) => {
            let growth = if too_large {
                Growth::TooLarge
            } else {
                Growth::NoRoom
            };
            desk.rooms.borrow_mut().told(ArenaId(arena), growth);
        }
        (ToWorker::Bye, _) => return Err(Exit::Clean),
        (
            ToWorker::Boot { .. }
            | ToWorker::Model { .. }
            | ToWorker::Prepare { .. }
            | ToWorker::Convert { .. }
            | ToWorker::Canary { .. }
            | ToWorker::Attach { .. }
            | ToWorker::Release { .. },
            _,
        ) => return Err(Exit::protocol("a frame out of place")),
    }
    Ok(())
}

fn release(desk: &Desk, slots: Vec<Slot>) {
    let mut arenas = desk.arenas.borrow_mut();
    let slots = slots.into_iter().map(SlotRef::from);
    let unknown = slots.filter(|&slot| !arenas.free(slot)).count();
    if unknown > 0 {
        log::line(&format!("{unknown} released slots were not in use"));
    }
}

fn attach(desk: &Desk, grant: Grant) -> Result<(), Exit> {
    let (arena, segment, bytes, role) = (grant.arena, grant.segment, grant.bytes, grant.role);
    let attached = desk.arenas.borrow_mut().attach(grant);
    attached.map_err(Exit::protocol)?;
    desk.control.send(&FromWorker::Attached {
        arena: arena.0,
        segment: segment.0,
    })?;
    if role == Role::Output {
        desk.rooms.borrow_mut().told(arena, Growth::Room(bytes));
    }
    Ok(())
}

fn trim(desk: &Desk) -> Result<(), Exit> {
    let trimmed = desk.arenas.borrow_mut().trim();
    if trimmed.is_empty() {
        return Ok(());
    }
    let segments = trimmed.into_iter();
    let segments = segments.map(|(arena, segment)| (arena.0, segment.0));
    desk.control.send(&FromWorker::Trimmed {
        segments: segments.collect(),
    })
}
