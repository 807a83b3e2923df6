//! Workers as they really are: started by the real `nn-spawner`, spoken to over their control socket,
//! killed. The framework is the fake's, except where ONNX Runtime itself is meant.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, which clippy takes for production code"
)]

mod harness;
mod interrupts;
mod taken_over;

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nn_tensor::Code;
use nn_worker_wire::{End, Failure, FromWorker, Role, Slot, Tensor, ToSpawner, ToWorker};

use harness::{
    FP32, I64, IN, LONG_US, OUT, Spawner, Worker, boot, f32s, library, read, tensor, write,
};

const ECHO: &[u8] = include_bytes!("../../../../tests/worker-fake/models/echo.onnx");
const SLEEP: &[u8] = include_bytes!("../../../../tests/worker-fake/models/sleep.onnx");
const CRASH: &[u8] = include_bytes!("../../../../tests/worker-fake/models/crash.onnx");
const ADD: &[u8] = include_bytes!("../../../../models/tiny/add-f32.onnx");

const PAGE: u64 = 4096;

#[expect(clippy::boxed_local, reason = "so it comes, so it is taken")]
fn code(failure: Box<Failure>) -> Code {
    failure.split().0.code
}

fn status(pid: u32, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// Fills the fake's only input, a scalar, and sends it.
fn scalar(worker: &Worker, job: u64, name: &str, value: i64, timeout_us: u64) {
    let input = worker.attach(Role::Input, IN, 0, PAGE);
    write(&input, 0, &value.to_le_bytes());
    worker.run(job, vec![tensor(name, I64, &[], 0, 8)], timeout_us);
}

fn echo(values: u32) -> Vec<Tensor> {
    vec![tensor("x", FP32, &[values], 0, u64::from(values) * 4)]
}

// === one worker, ONNX Runtime ===

#[test]
fn onnx_runtime_adds_two_tensors_in_shared_memory() {
    let Some(library) = library() else { return };
    let spawner = Spawner::start(Path::new(env!("CARGO_BIN_EXE_nn-worker"))).with_library(&library);
    let worker = spawner.spawn(1);
    let runtime = worker.boot();
    assert!(runtime.starts_with("ONNX Runtime 1.28.0"), "{runtime}");
    assert_eq!(worker.load(ADD).unwrap().inputs.len(), 2);
    let input = worker.attach(Role::Input, IN, 0, PAGE);
    let output = worker.attach(Role::Output, OUT, 0, PAGE);
    write(&input, 0, &f32s(&[1.0, 2.0]));
    write(&input, 64, &f32s(&[10.0, 20.0]));

    let tensors = vec![
        tensor("a", FP32, &[2], 0, 8),
        tensor("b", FP32, &[2], 64, 8),
    ];
    worker.run(1, tensors, LONG_US);

    let outputs = worker.done(1).unwrap();
    assert_eq!(
        (outputs[0].name.as_str(), &outputs[0].dims[..]),
        ("c", &[2][..])
    );
    assert_eq!(read(&output, &outputs[0]), f32s(&[11.0, 22.0]));
    let log = worker.close();
    assert!(
        log.contains("1 jobs; 0 bytes of inputs copied, 8 of outputs"),
        "{log}"
    );
    assert_eq!(spawner.exited(), (1, End::Exit(0)));
}

#[test]
fn a_framework_that_does_not_load_ends_the_worker() {
    let spawner = Spawner::start(Path::new(env!("CARGO_BIN_EXE_nn-worker")));
    let worker = spawner.spawn(1);
    worker.tell_boot(&boot(nn_worker_wire::BUILD_ID));
    assert_eq!(spawner.exited(), (1, End::Exit(69)));
    assert!(worker.close().contains("/nowhere.so"));
}

// === what a worker is born with ===

#[test]
fn a_worker_has_five_descriptors_and_one_variable() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, ECHO);
    let mut numbers: Vec<_> = fs::read_dir(format!("/proc/{}/fd", worker.pid))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["0", "1", "2", "3", "4"]);
    let environment = fs::read(format!("/proc/{}/environ", worker.pid)).unwrap();
    assert_eq!(environment, b"ORT_DISABLE_TELEMETRY=1\0");
    assert_eq!(status(worker.pid, "NoNewPrivs:"), "1");
    assert_eq!(status(worker.pid, "SigBlk:"), "0000000000000000");
    assert_eq!(status(worker.pid, "PPid:"), spawner.pid().to_string());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test starts a worker by hand")]
fn a_worker_started_by_hand_says_so() {
    let worker = env!("CARGO_BIN_EXE_nn-worker");
    let output = std::process::Command::new(worker).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let build_id = std::process::Command::new(worker)
        .arg("--build-id")
        .output()
        .unwrap();
    assert!(nn_worker_wire::build_id_in(&build_id.stdout));
}

// === jobs ===

#[test]
fn an_output_arena_grows_when_it_is_full() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, ECHO);
    let input = worker.attach(Role::Input, IN, 0, PAGE);
    write(&input, 0, &[7; 4096]);
    worker.run(1, echo(1024), LONG_US);

    let wanted = FromWorker::Grow {
        arena: OUT,
        bytes_min: PAGE,
    };
    assert_eq!(worker.hear(), wanted);
    // Jobs that come meanwhile wait.
    worker.run(2, echo(1), LONG_US);
    let output = worker.attach(Role::Output, OUT, 0, PAGE);

    let outputs = worker.done(1).unwrap();
    assert_eq!(read(&output, &outputs[0]), vec![7; 4096]);
    // The first result is still held.
    assert!(matches!(
        worker.hear(),
        FromWorker::Grow { bytes_min: 64, .. }
    ));
    worker.tell(
        &ToWorker::Refuse {
            arena: OUT,
            too_large: false,
        },
        &[],
    );
    assert_eq!(code(worker.done(2).unwrap_err()), Code::Busy);
    let slots = vec![outputs[0].slot];
    worker.tell(&ToWorker::Release { slots }, &[]);
    worker.run(3, echo(1), LONG_US);
    assert!(worker.done(3).is_ok());
}

#[test]
fn a_failed_job_leaves_no_slot_behind() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, ECHO);
    worker.attach(Role::Input, IN, 0, PAGE);
    worker.attach(Role::Output, OUT, 0, PAGE);
    let wrong = vec![tensor("z", FP32, &[1], 0, 4)];
    worker.run(1, wrong, LONG_US);
    assert_eq!(code(worker.done(1).unwrap_err()), Code::InvalidArgument);
    worker.run(2, echo(1024), LONG_US);
    assert!(worker.done(2).is_ok());
}

#[test]
fn integers_of_a_shared_worker_are_copied() {
    let spawner = Spawner::fake();
    let worker = spawner.spawn(1);
    worker.boot();
    worker.load(SLEEP).unwrap();
    worker.attach(Role::Output, OUT, 0, PAGE);
    scalar(&worker, 1, "ms", 0, LONG_US);
    assert!(worker.done(1).is_ok());
    worker.attach_as((Role::Output, OUT + 1, 0, PAGE), true);
    worker.run(2, vec![tensor("ms", I64, &[], 0, 8)], LONG_US);
    assert!(worker.done(2).is_ok());
    assert!(worker.close().contains("2 jobs; 8 bytes of inputs copied"));
}

#[test]
fn a_detached_arena_may_come_again() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, ECHO);
    worker.attach(Role::Input, IN, 0, PAGE);
    worker.tell(&ToWorker::Detach { arena: IN }, &[]);
    worker.attach(Role::Input, IN, 0, PAGE);
}

#[test]
fn a_model_that_does_not_load_is_told() {
    let spawner = Spawner::fake();
    let worker = spawner.spawn(1);
    worker.boot();
    assert_eq!(
        code(worker.load(b"no model").unwrap_err()),
        Code::InvalidEncoding
    );
    worker.tell(&ToWorker::Bye, &[]);
    assert_eq!(spawner.exited(), (1, End::Exit(0)));
}

// === a daemon that breaks the protocol ===

/// A worker is told this, and ends.
fn ends_by(act: impl FnOnce(&Worker)) -> End {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, ECHO);
    act(&worker);
    spawner.exited().1
}

#[test]
fn a_worker_ends_when_the_protocol_is_broken() {
    let protocol = End::Exit(76);
    assert_eq!(ends_by(|w| w.tell_bytes(&[0xff; 9], &[])), protocol);
    assert_eq!(ends_by(|w| w.tell(&boot("x"), &[])), protocol);
    assert_eq!(ends_by(|w| w.run(1, echo(1), LONG_US)), protocol);
    let behind = |w: &Worker| {
        w.attach(Role::Input, IN, 0, PAGE);
        w.run(1, vec![tensor("x", FP32, &[2], PAGE - 4, 8)], LONG_US);
    };
    assert_eq!(ends_by(behind), protocol);
    let twice = |w: &Worker| {
        w.attach(Role::Input, IN, 0, PAGE);
        let (arena, segment, bytes, role) = (IN, 0, PAGE, Role::Input);
        let null = fs::File::open("/dev/null").unwrap();
        let frame = ToWorker::Attach {
            arena,
            segment,
            bytes,
            role,
            shared: false,
        };
        w.tell(&frame, &[std::os::fd::AsFd::as_fd(&null)]);
    };
    assert_eq!(ends_by(twice), protocol);
}

#[test]
fn releasing_what_is_not_held_changes_nothing() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, ECHO);
    let slot = Slot {
        arena: 9,
        segment: 9,
        offset: 9,
        bytes: 9,
        generation: 9,
    };
    worker.tell(&ToWorker::Release { slots: vec![slot] }, &[]);
    worker.attach(Role::Input, IN, 0, PAGE);
    assert!(worker.close().contains("not in use"));
}

#[test]
fn another_build_is_refused() {
    let spawner = Spawner::fake();
    let worker = spawner.spawn(1);
    worker.tell_boot(&boot("another"));
    assert_eq!(spawner.exited(), (1, End::Exit(76)));
    assert!(worker.close().contains("build another"));
}

// === deaths ===

fn dies(how: i64) -> End {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, CRASH);
    worker.attach(Role::Output, OUT, 0, PAGE);
    scalar(&worker, 1, "how", how, LONG_US);
    spawner.exited().1
}

#[test]
fn every_way_to_die_is_reported() {
    // As process 1 of its namespace it cannot die of SIGABRT; the C library then ends it by a fault.
    assert_eq!(dies(0), End::Signal(11));
    assert_eq!(dies(1), End::Signal(11));
    assert_eq!(dies(2), End::Exit(3));
    assert_eq!(dies(3), End::Exit(134));
}

#[test]
fn a_worker_that_hangs_is_killed() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 7, CRASH);
    scalar(&worker, 1, "how", 4, LONG_US);
    spawner.tell(&ToSpawner::Kill { worker: 7 }, &[]);
    assert_eq!(spawner.exited(), (7, End::Signal(9)));
    spawner.tell(&ToSpawner::Kill { worker: 7 }, &[]);
    drop(Worker::ready(&spawner, 8, ECHO));
    assert_eq!(spawner.exited(), (8, End::Exit(0)));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "nix knows no real-time signals")]
fn a_death_by_a_real_time_signal_leaves_the_spawner_alive() {
    // Process 1 of a namespace dies of no signal that it could handle; one without a jail does.
    let spawner = Spawner::fake().unjailed();
    let worker = Worker::ready(&spawner, 1, ECHO);
    let pid = worker.pid.to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-s", "40", &pid]).status().unwrap().success());
    assert_eq!(spawner.exited(), (1, End::Signal(40)));
    Worker::ready(&spawner, 2, ECHO);
}

#[test]
fn the_spawner_takes_its_workers_along() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, ECHO);
    assert_eq!(spawner.close().code(), Some(0));
    assert!(!Path::new(&format!("/proc/{}", worker.pid)).exists());
    assert_eq!(worker.id, 1);
}

#[test]
fn a_killed_spawner_takes_its_workers_along() {
    let spawner = Spawner::fake();
    let worker = Worker::ready(&spawner, 1, ECHO);
    let pid = Pid::from_raw(i32::try_from(spawner.pid()).unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    let mut polled = [nix::poll::PollFd::new(
        std::os::fd::AsFd::as_fd(&worker.pidfd),
        nix::poll::PollFlags::POLLIN,
    )];
    assert_eq!(nix::poll::poll(&mut polled, 10_000_u16), Ok(1));
    assert_eq!(spawner.wait().code(), None);
}

#[test]
fn the_spawner_ends_by_sigterm_and_not_by_sigint() {
    let spawner = Spawner::fake();
    let pid = Pid::from_raw(i32::try_from(spawner.pid()).unwrap());
    let worker = Worker::ready(&spawner, 1, ECHO);
    kill(pid, Signal::SIGINT).unwrap();
    Worker::ready(&spawner, 2, ECHO);
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(spawner.wait().code(), Some(0));
    assert!(!Path::new(&format!("/proc/{}", worker.pid)).exists());
}

#[test]
fn a_program_that_is_no_worker_of_this_build_is_refused() {
    let refused = Spawner::start(Path::new("/bin/sh"));
    assert_eq!(refused.wait().code(), Some(65));
}
