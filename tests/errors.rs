//! What is said when something fails: each way that a load or a compute can fail is provoked through daemon, worker and host,
//! and the text that a guest, a client or an operator reads is looked at: it names its reason and what to do, and no path, no
//! address and no part of this program. A reason that no row provokes needs a word why. `--no-capture` prints all texts.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

#[path = "errors/acts.rs"]
mod acts;
#[path = "bad_models/bad.rs"]
mod bad;
#[path = "errors/clients.rs"]
mod clients;
#[path = "errors/guests.rs"]
mod guests;
#[path = "errors/judge.rs"]
mod judge;
#[path = "errors/modules.rs"]
mod modules;
#[path = "errors/operators.rs"]
mod operators;
#[path = "bad_models/parts.rs"]
#[expect(dead_code, reason = "the bad models of another test use the rest")]
mod parts;
#[path = "bad_models/vetted.rs"]
mod vetted;
#[path = "errors/vetting.rs"]
mod vetting;

use std::collections::BTreeSet;
use std::path::Path;

use bad::{Bad, bad};
use nn_tensor::Reason;

/// Reasons that no row provokes, each with why, and where it is tested instead.
const UNPROVOKED: &[(Reason, &str)] = &[
    (
        Reason::MessageWrong,
        "unit tests of nn-proto's guard: who speaks the protocol sends none",
    ),
    (Reason::MessageTooLarge, "tests/kserve/limits.rs"),
    (
        Reason::MessagesFull,
        "takes ten seconds; tests/kserve/limits.rs has messages wait",
    ),
    (Reason::CallUnoffered, "tests/kserve.rs"),
    (Reason::ModelKept, "tests/kserve/repository.rs"),
    (Reason::TypeUnserved, "tests/kserve.rs"),
    (Reason::ContentsWrong, "tests/kserve.rs"),
    (Reason::OutputUnknown, "tests/kserve.rs"),
    (
        Reason::ParameterWrong,
        "unit tests of what an inference asks for",
    ),
    (
        Reason::TenantName,
        "the client has parsed it; unit tests of names",
    ),
    (
        Reason::BackendFormat,
        "unit tests of framework; the backends' conformance suite",
    ),
    (
        Reason::WarmUpFailed,
        "what fails in a warm-up keeps its own reason; tests/lifecycle/warm_up.rs",
    ),
    (
        Reason::LoadMemory,
        "a model has four times its own size to be loaded in; the backends' tests of memory",
    ),
    (
        Reason::Cancelled,
        "who cancels does not listen; tests/cancel.rs does by hand",
    ),
    (
        Reason::DaemonLost,
        "tests/crash.rs and the client's tests kill daemons",
    ),
    (
        Reason::DaemonSilent,
        "a bare gRPC status; the client's tests",
    ),
    (
        Reason::DaemonLeaving,
        "the client asks the next daemon instead; tests/restart.rs",
    ),
    (
        Reason::CutOff,
        "takes limits.drain_ms_max; tests/restart.rs",
    ),
    (Reason::Reconnecting, "a moment of the client's"),
    (
        Reason::Congested,
        "needs a reader that stalls; tests/doors.rs",
    ),
    (Reason::ConnectionsFull, "tests/doors.rs fills both doors"),
    (
        Reason::SessionUnknown,
        "the client opens another session; tests/cancel.rs",
    ),
    (Reason::SessionEnded, "the client opens another session"),
    (Reason::AdminDenied, "needs another user; tests/peers.rs"),
    (Reason::ProtocolVersion, "no client of ours says another"),
    (
        Reason::Protocol,
        "no client of ours breaks it; tests/cancel.rs does by hand",
    ),
    (
        Reason::AnswerProtocol,
        "no daemon of ours breaks it; the client's tests",
    ),
    (Reason::Defect, "none is known"),
    (
        Reason::ModelUnloaded,
        "a moment of the client's; tests/lifecycle.rs",
    ),
    (
        Reason::ModelLoading,
        "takes as long as a load may; tests/lifecycle.rs",
    ),
    (Reason::ModelFailed, "only where no fault says why"),
    (Reason::TenantWorkersFull, "tests/units.rs"),
    (
        Reason::MachineMemory,
        "needs a machine that is full; unit tests of admission",
    ),
    (
        Reason::WorkerNotStarted,
        "needs a kernel that refuses; tests/boot.rs",
    ),
    (
        Reason::SpawnRefused,
        "needs a kernel that refuses; tests/spares.rs",
    ),
    (Reason::LoadLate, "tests/openvino/deadline.rs waits for one"),
    (
        Reason::LoadFailed,
        "what a framework says of no kind; the backends' tests",
    ),
    (
        Reason::NamesTooLong,
        "takes names of 64 KiB; the worker's tests",
    ),
    (
        Reason::FrameworkBroken,
        "needs a library that does not load; tests/sandbox.rs",
    ),
    (Reason::WarmUpLate, "tests/lifecycle/warm_up.rs"),
    (
        Reason::BytesUnread,
        "needs a disk that fails; tests/lifecycle.rs",
    ),
    (
        Reason::BytesDamaged,
        "needs a disk that fails; tests/lifecycle.rs",
    ),
    (
        Reason::GuestModelBytesFull,
        "takes two large models; the host shim's tests",
    ),
    (Reason::UploadBusy, "a race; tests/guest_models.rs"),
    (
        Reason::UploadLate,
        "takes limits.load_ms_max; tests/guest_models.rs",
    ),
    (
        Reason::UploadInterrupted,
        "needs a client that dies; tests/guest_models.rs",
    ),
    (Reason::UploadLength, "no client of ours does it"),
    (Reason::UploadDigest, "no client of ours does it"),
    (
        Reason::StateUnwritable,
        "needs a full disk; tests/lifecycle.rs",
    ),
    (
        Reason::VetSize,
        "nnctl refuses it first or a guest's own limit does; unit tests of vet",
    ),
    (Reason::VetCustomOp, "as vet-op-domain; tests/bad_models.rs"),
    (
        Reason::VetDtd,
        "of IR, which only an operator loads; tests of vet",
    ),
    (
        Reason::VetIrVersion,
        "of IR, which only an operator loads; tests of vet",
    ),
    (
        Reason::VetWiring,
        "of IR, which only an operator loads; tests of vet",
    ),
    (Reason::InputNumber, "tests/openvino.rs"),
    (Reason::InputUnconverted, "tests/conversions.rs"),
    (Reason::OutputUnconverted, "tests/conversions.rs"),
    (Reason::SharedMemory, "needs a machine that is full"),
    (
        Reason::SegmentsFull,
        "takes thousands of segments; tests/doors/hoards.rs",
    ),
    (
        Reason::GraphUnknown,
        "no client of ours asks for one; tests/cancel.rs",
    ),
    (
        Reason::ArenaUnknown,
        "no client of ours asks for one; tests/tenants.rs",
    ),
    (Reason::TenantTensorsFull, "tests/tenants/bounds.rs"),
    (Reason::TenantComputesFull, "tests/tenants/bounds.rs"),
    (Reason::TenantRateFull, "tests/tenants/bounds.rs"),
    (
        Reason::GraphLost,
        "needs a daemon that is replaced; tests/restart.rs",
    ),
    (
        Reason::RoomLate,
        "takes as long as a compute may; tests/hostile.rs",
    ),
    (Reason::QueueShareFull, "tests/doors/hoards.rs"),
    (Reason::QueueFull, "tests/doors/hoards.rs"),
    (Reason::OutputsFull, "tests/doors/hoards.rs"),
    (
        Reason::WorkerForbidden,
        "tests/sandbox.rs and tests/isolation.rs",
    ),
    (Reason::WorkerMemory, "tests/sandbox/ends.rs"),
    (Reason::WorkerKilled, "tests/crash.rs kills workers"),
    (
        Reason::WorkerAway,
        "takes as long as a restart may; tests/crash.rs",
    ),
    (Reason::PlacementOff, "tests/placed/refusals.rs"),
    (Reason::PlacementUnsaid, "tests/placed/refusals.rs"),
    (Reason::PlacementFile, "tests/placed/refusals.rs"),
    (Reason::PlacementDiffers, "tests/placed/refusals.rs"),
    (Reason::PlacementAway, "tests/placed/ends.rs"),
    (
        Reason::PlacementSecret,
        "needs a secret that is gone; tests/placed/hostile/tls.rs",
    ),
    (
        Reason::RemoteUnreachable,
        "needs another engine; tests/placed/hostile.rs",
    ),
    (
        Reason::RemoteRefused,
        "needs another engine; tests/placed/hostile.rs",
    ),
    (
        Reason::RemoteTls,
        "needs another engine; tests/placed/hostile/tls.rs",
    ),
    (
        Reason::RemoteModel,
        "needs another engine; tests/placed/hostile.rs",
    ),
    (
        Reason::RemoteMessage,
        "needs another engine; tests/placed/hostile.rs",
    ),
    (
        Reason::RemoteLost,
        "needs another engine; tests/placed/hostile.rs",
    ),
    (
        Reason::RemoteFailed,
        "needs another engine; tests/placed/hostile.rs",
    ),
    (
        Reason::RemoteAnswer,
        "needs another engine; tests/placed/hostile.rs",
    ),
    (
        Reason::RemoteDeadline,
        "needs another engine; tests/placed/hostile.rs",
    ),
];

/// Every reason of every row.
fn provoked() -> Vec<Reason> {
    let guests = guests::ROWS.iter().map(|row| row.reason);
    let modules = modules::ROWS.iter().map(|row| row.reason);
    let clients = clients::ROWS.iter().map(|row| row.reason);
    let operators = operators::ROWS.iter().map(|row| row.reason);
    let vetting = vetting::reasons();
    guests
        .chain(modules)
        .chain(clients)
        .chain(operators)
        .chain(vetting)
        .collect()
}

#[test]
fn every_reason_is_provoked_or_is_said_why_not() {
    let provoked: BTreeSet<Reason> = provoked().into_iter().collect();
    let excused: BTreeSet<Reason> = UNPROVOKED.iter().map(|(reason, _)| *reason).collect();
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !provoked.contains(reason) && !excused.contains(reason))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let both: Vec<_> = provoked.intersection(&excused).collect();
    assert!(both.is_empty(), "provoked and excused: {both:?}");
}

#[test]
fn at_least_sixty_failures_are_provoked() {
    let count = provoked().len();
    println!("{count} failures are provoked");
    assert!(count >= 60, "{count}");
}

#[test]
fn what_is_tested_elsewhere_is_tested_in_a_file_that_there_is() {
    let words = UNPROVOKED
        .iter()
        .flat_map(|(_, why)| why.split([' ', ';', ',']));
    let files = words.filter(|word| word.ends_with(".rs"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let gone: Vec<&str> = files.filter(|file| !root.join(file).is_file()).collect();
    assert_eq!(gone, Vec::<&str>::new());
}
