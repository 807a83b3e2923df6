//! The relay as a process: its program, sealed by its filter, with a daemon's frames by hand. (Namespaces are made by the
//! spawner; what they are worth is tested where workers' are.)

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use nn_dialer::{Allowed, Pool};
use nn_sandbox::Profile;
use nn_shm::{Blob, Mapping, Segment, fds};
use nn_tensor::Reason;
use nn_worker_wire::{
    BUILD_ID, EndpointState, FRAME_BYTES_MAX, Failure, FromWorker, Interrupt, Library, Order, Part,
    Precision, RELAY_PROFILE, REMOTE, Remote, Role, Run, Sandbox, Slot, Tensor, ToDialer, ToWorker,
    decode, encode,
};

use crate::engines::{Act, Engine};
use crate::rig::{aside, local, remote};

/// Longer than anything here takes on a busy machine.
const PATIENCE_S: i64 = 60;

const PAGE: u64 = 4096;
const LONG_US: u64 = 60_000_000;

/// The arenas of these tests.
const IN: u64 = 1;
const OUT: u64 = 2;
const OTHER: u64 = 3;

const FP32: u8 = 1;

struct Relay {
    process: Child,
    control: OwnedFd,
    interrupts: OwnedFd,
    _dialer: OwnedFd,
    states: Vec<EndpointState>,
}

fn pair() -> (OwnedFd, OwnedFd) {
    let (ours, theirs) = fds::pair().unwrap();
    setsockopt(&ours, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0)).unwrap();
    (ours, theirs)
}

/// What a spawner would say, without namespaces.
fn order() -> File {
    let profile = Profile::named(RELAY_PROFILE).unwrap();
    let order = Order {
        backend: REMOTE.to_owned(),
        library: Library {
            path: String::new(),
            bytes: 0,
        },
        beside: Vec::new(),
        threads: 1,
        sandbox: Sandbox {
            profile: profile.name.to_owned(),
            layers: ["no_new_privs", "seccomp"].map(str::to_owned).to_vec(),
            uid: None,
            data_bytes_max: 512 << 20,
            filter: profile.filter.to_vec(),
        },
    };
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &encode(&order).unwrap()).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file
}

/// An engine in a thread of its own; gives its address.
fn engine(act: fn(usize) -> Act) -> String {
    let (sender, address) = mpsc::channel();
    aside("engine", move || {
        local(async move {
            let engine = Engine::start(move |count, _| act(count)).await;
            sender.send(engine.address.clone()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    address.recv().unwrap()
}

/// A dialer that is allowed these, in a thread; its daemon's end, and a relay's.
fn dialer(endpoints: &[String]) -> (OwnedFd, OwnedFd) {
    let allowed = Allowed::new(endpoints).unwrap();
    let (daemon, theirs) = fds::pair().unwrap();
    aside("dialer", move || {
        let pool = Pool::start().unwrap();
        nn_dialer::serve::serve(&theirs, &allowed, &pool)
    });
    let (relay, its) = fds::pair().unwrap();
    let frame = encode(&ToDialer::Relay { relay: 1 }).unwrap();
    fds::send(daemon.as_fd(), &frame, &[its.as_fd()]).unwrap();
    (daemon, relay)
}

// === impl Relay ===

impl Relay {
    /// Sealed, and told of this model; what it says of that.
    #[expect(clippy::disallowed_methods, reason = "a test starts the relay")]
    fn start(remote: &Remote) -> (Self, Result<(), Box<Failure>>) {
        let (control, theirs) = pair();
        // A few frames, and the next one has to wait until these are read.
        setsockopt(&theirs, sockopt::SndBuf, &1).unwrap();
        let (interrupts, its) = pair();
        let (daemon, dialer) = dialer(&remote.endpoints);
        // Descriptors 3 and 4 as the spawner leaves them, and no environment.
        let script = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; exec env -i \"$0\"";
        let process = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_nn-relay")])
            .stdin(theirs)
            .stdout(order())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut relay = Self {
            process,
            control,
            interrupts,
            _dialer: daemon,
            states: Vec::new(),
        };
        let build_id = BUILD_ID.to_owned();
        relay.tell(&ToWorker::Boot { build_id }, &[its.as_fd(), dialer.as_fd()]);
        let ready = relay.hear();
        assert!(matches!(ready, FromWorker::Ready { .. }), "{ready:?}");
        let bytes = remote.to_bytes().unwrap();
        let len = u64::try_from(bytes.len()).unwrap();
        let fill = |file: &mut File| std::io::Write::write_all(file, &bytes);
        let blob = Blob::create(len, fill).unwrap();
        let model = ToWorker::Model {
            format: REMOTE.to_owned(),
            parts: vec![Part {
                name: "remote".to_owned(),
                bytes: len,
            }],
            precision: Precision::default(),
        };
        relay.tell(&model, &[blob.as_fd()]);
        let loaded = match relay.hear() {
            FromWorker::Loaded { result } => result.map(drop).map_err(Box::new),
            other => panic!("expected Loaded, got {other:?}"),
        };
        (relay, loaded)
    }

    fn serving(act: fn(usize) -> Act) -> (Self, Arc<Mapping>) {
        let address = engine(act);
        let (mut relay, loaded) = Self::start(&remote(&[&address]));
        loaded.unwrap();
        let input = relay.attach(Role::Input, IN, PAGE);
        let values = [1.0_f32, 2.0].map(f32::to_le_bytes).concat();
        input.slice(0, 8).unwrap().copy_from(&values).unwrap();
        (relay, input)
    }

    fn tell(&self, frame: &ToWorker, fds: &[BorrowedFd<'_>]) {
        fds::send(self.control.as_fd(), &encode(frame).unwrap(), fds).unwrap();
    }

    /// The next frame that is not about endpoints.
    fn hear(&mut self) -> FromWorker {
        let mut buffer = vec![0; FRAME_BYTES_MAX];
        loop {
            let packet = fds::recv(self.control.as_fd(), &mut buffer, 0).unwrap();
            assert!(packet.len > 0, "it ended: {}", self.said());
            match decode(&buffer[..packet.len]).unwrap() {
                FromWorker::Endpoints { states } => self.states = states,
                other => return other,
            }
        }
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        let stderr = self.process.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        said
    }

    fn attach(&mut self, role: Role, arena: u64, bytes: u64) -> Arc<Mapping> {
        let memory = Segment::create(bytes).unwrap();
        let mapping = match role {
            Role::Input => {
                let mapping = memory.map_writer().unwrap();
                memory.seal_writers().unwrap();
                mapping
            }
            Role::Output => memory.map_reader().unwrap(),
        };
        let (segment, shared) = (0, false);
        let attach = ToWorker::Attach {
            arena,
            segment,
            bytes,
            role,
            shared,
        };
        self.tell(&attach, &[memory.as_fd()]);
        assert_eq!(self.hear(), FromWorker::Attached { arena, segment });
        Arc::new(mapping)
    }

    fn run(&self, job: u64, out_arena: u64, offset: u64, timeout_us: u64) {
        let slot = Slot {
            arena: IN,
            segment: 0,
            offset,
            bytes: 8,
            generation: 1,
        };
        let run = Run {
            job,
            inputs: vec![Tensor {
                name: "x".to_owned(),
                dtype: FP32,
                dims: vec![1, 2],
                slot,
            }],
            out_arena,
            timeout_us,
        };
        self.tell(&ToWorker::Run(run), &[]);
    }

    fn done(&mut self, wanted: u64) -> Result<Vec<Tensor>, Box<Failure>> {
        match self.hear() {
            FromWorker::Done { job, result, .. } if job == wanted => result.map_err(Box::new),
            other => panic!("expected Done of {wanted}, got {other:?}"),
        }
    }

    fn grows(&mut self, wanted: u64) {
        match self.hear() {
            FromWorker::Grow { arena, bytes_min } => {
                assert!(arena == wanted && bytes_min >= 8, "{arena}: {bytes_min}");
            }
            other => panic!("expected Grow of {wanted}, got {other:?}"),
        }
    }

    /// Closes its socket; gives how it ended, and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let said = {
            drop(std::mem::replace(&mut self.control, pair().0));
            self.said()
        };
        (self.process.wait().unwrap().code(), said)
    }
}

fn reason(failure: &Failure) -> Option<Reason> {
    failure.clone().split().0.reason
}

fn sum(mapping: &Mapping, outputs: &[Tensor]) -> Vec<f32> {
    let slot = outputs[0].slot;
    let bytes = mapping.slice(slot.offset, slot.bytes).unwrap().to_vec();
    let bytes = bytes.unwrap();
    let floats = bytes.chunks_exact(4);
    floats
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect()
}

#[test]
fn a_job_s_slots_go_to_an_engine_and_its_answer_into_slots() {
    let (mut relay, _input) = Relay::serving(|_| Act::Right);
    let status = fs::read_to_string(format!("/proc/{}/status", relay.process.id())).unwrap();
    assert!(
        status.contains("Seccomp:\t2") && status.contains("Threads:\t1\n"),
        "{status}"
    );
    relay.run(1, OUT, 0, LONG_US);
    relay.grows(OUT);
    let output = relay.attach(Role::Output, OUT, PAGE);
    let outputs = relay.done(1).unwrap();
    assert_eq!(sum(&output, &outputs), [2.0, 3.0]);
    // Its slot is taken until it is released.
    relay.run(2, OUT, 0, LONG_US);
    let more = relay.done(2).unwrap();
    assert_ne!(more[0].slot.offset, outputs[0].slot.offset);
    let slots = vec![outputs[0].slot, more[0].slot];
    relay.tell(&ToWorker::Release { slots }, &[]);
    relay.tell(&ToWorker::Probe, &[]);
    assert_eq!(relay.hear(), FromWorker::Alive);
    assert_eq!(relay.states[0].failures, 0);
    let (code, said) = relay.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nn-relay: 2 jobs"), "{said}");
}

#[test]
fn a_daemon_that_reads_late_gets_every_answer_once() {
    const JOBS: u64 = 40;
    let (mut relay, _input) = Relay::serving(|_| Act::Right);
    let output = relay.attach(Role::Output, OUT, PAGE);
    for job in 1..=JOBS {
        relay.run(job, OUT, 0, LONG_US);
    }
    // More than there is room for, all of them done.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let mut done: Vec<u64> = (1..=JOBS)
        .map(|_| match relay.hear() {
            FromWorker::Done { job, result, .. } => {
                assert_eq!(sum(&output, &result.unwrap()), [2.0, 3.0]);
                job
            }
            other => panic!("expected Done, got {other:?}"),
        })
        .collect();
    done.sort_unstable();
    assert_eq!(done, (1..=JOBS).collect::<Vec<_>>());
    relay.tell(&ToWorker::Probe, &[]);
    assert_eq!(relay.hear(), FromWorker::Alive);
}

#[test]
fn a_job_that_waits_for_memory_holds_up_no_other() {
    let (mut relay, _input) = Relay::serving(|_| Act::Right);
    relay.run(1, OUT, 0, LONG_US);
    relay.grows(OUT);
    relay.run(2, OTHER, 0, LONG_US);
    relay.grows(OTHER);
    let other = relay.attach(Role::Output, OTHER, PAGE);
    let outputs = relay.done(2).unwrap();
    assert_eq!(sum(&other, &outputs), [2.0, 3.0]);
    let (arena, too_large) = (OUT, false);
    relay.tell(&ToWorker::Refuse { arena, too_large }, &[]);
    assert_eq!(
        reason(&relay.done(1).unwrap_err()),
        Some(Reason::OutputsFull)
    );
}

#[test]
fn a_job_is_interrupted_and_a_late_one_ends_while_others_go_on() {
    let (mut relay, _input) = Relay::serving(|count| match count {
        0 | 1 => Act::Hang,
        _ => Act::Right,
    });
    let output = relay.attach(Role::Output, OUT, PAGE);
    relay.run(1, OUT, 0, LONG_US);
    relay.run(2, OUT, 0, 500_000);
    let late = relay.done(2).unwrap_err();
    assert_eq!(reason(&late), Some(Reason::RemoteDeadline));
    relay.run(3, OUT, 0, LONG_US);
    let outputs = relay.done(3).unwrap();
    assert_eq!(sum(&output, &outputs), [2.0, 3.0]);
    // One that has ended, one that is under way, one that is yet to come.
    for job in [3, 1, 4] {
        let frame = encode(&Interrupt { job }).unwrap();
        fds::send(relay.interrupts.as_fd(), &frame, &[]).unwrap();
    }
    let stopped = relay.done(1).unwrap_err();
    assert!(stopped.interrupted);
    assert_eq!(reason(&stopped), Some(Reason::Cancelled));
    relay.tell(&ToWorker::Probe, &[]);
    assert_eq!(relay.hear(), FromWorker::Alive);
    relay.run(4, OUT, 0, LONG_US);
    assert_eq!(reason(&relay.done(4).unwrap_err()), Some(Reason::Cancelled));
}

#[test]
fn a_slot_outside_its_arena_ends_the_relay() {
    let (mut relay, _input) = Relay::serving(|_| Act::Right);
    relay.run(1, OUT, PAGE - 4, LONG_US);
    let said = relay.said();
    assert_eq!(relay.process.wait().unwrap().code(), Some(76), "{said}");
    assert!(said.contains("broke the protocol"), "{said}");
}

#[test]
fn a_model_that_no_endpoint_has_is_told_and_the_relay_leaves_when_it_may() {
    let (relay, loaded) = Relay::start(&remote(&["127.0.0.1:1"]));
    let failure = loaded.unwrap_err();
    assert_eq!(reason(&failure), Some(Reason::RemoteUnreachable));
    relay.tell(&ToWorker::Bye, &[]);
    let (code, said) = relay.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("no model:"), "{said}");
}
