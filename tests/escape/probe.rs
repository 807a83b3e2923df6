//! One attempt in one jail, and what came of it.

use std::fmt;
use std::num::NonZero;
use std::thread;

use nn_sandbox::{Layer, OwnProfile, Profile};
use nn_tests::{Jail, Jailer, User};
use nn_worker_wire::{End, FromWorker};

/// How the kernel ends a process for a call that its filter does not allow.
pub(crate) const SIGSYS: i32 = 31;

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It worked.
    Allowed,
    /// The kernel said no, by this errno.
    Refused(i32),
    /// The process is dead, by this signal.
    Killed(i32),
    /// It ended by itself.
    Exited(i32),
}

/// A memory budget that is soon used up.
pub(crate) const BUDGET: u64 = 256 << 20;

/// The profile under test.
pub(crate) fn worker_ort() -> &'static Profile {
    Profile::named("worker-ort").expect("a profile of this build")
}

/// A jail of these layers.
pub(crate) fn jail(layers: &[Layer]) -> Jail {
    Jail {
        data_bytes_max: BUDGET,
        // So that a fork fails for the right reason.
        threads: 64,
        ..Jail::of(worker_ort(), layers)
    }
}

/// A worker's jail with the filter of one of our own processes. It may start no thread, so that `clone` fails.
pub(crate) fn own_jail(profile: &str, user: User) -> Jail {
    let own = OwnProfile::named(profile).expect("a profile of this build");
    Jail {
        filter: own.filter.to_vec(),
        threads: 0,
        ..jail(&all_layers(user))
    }
}

/// A worker's jail with the filter of another profile. It may start no thread, so that `clone` fails.
pub(crate) fn jail_of(profile: &str, user: User) -> Jail {
    let profile = Profile::named(profile).expect("a profile of this build");
    Jail {
        filter: profile.filter.to_vec(),
        threads: 0,
        ..jail(&all_layers(user))
    }
}

/// All layers that can be had here; says which cannot, and why.
pub(crate) fn all_layers(user: User) -> Vec<Layer> {
    let missing = Jailer::start("nn-probe", user).missing();
    for (layer, why) in &missing {
        println!("as {user:?}, without {layer}: {why}");
    }
    let there = |layer: &Layer| !missing.iter().any(|(gone, _)| gone == layer);
    Layer::ALL.into_iter().filter(there).collect()
}

/// Has a probe do this.
pub(crate) fn attempt(jailer: &mut Jailer, jail: &Jail, script: &str) -> Outcome {
    let jailed = jailer.boot(jail).ready();
    let mut model = format!("nn-probe: {script};").into_bytes();
    model.resize(model.len().max(4096), b' ');
    jailed.model(&model);
    if script.contains("take") {
        jailed.stray(&model);
    }
    let Some(answer) = jailed.hear() else {
        return match jailed.end().end {
            End::Signal(signal) => Outcome::Killed(signal),
            // That of another program: it was executed.
            End::Exit(1) => Outcome::Allowed,
            End::Exit(status) => Outcome::Exited(status),
        };
    };
    let _ = jailed.kill();
    let FromWorker::Loaded {
        result: Err(failure),
    } = answer
    else {
        panic!("{script}: {answer:?}")
    };
    read(&failure.detail).unwrap_or_else(|| panic!("{script}: {}", failure.detail))
}

/// The probe's words.
fn read(detail: &str) -> Option<Outcome> {
    if detail.starts_with("allowed: ") {
        return Some(Outcome::Allowed);
    }
    let errno = detail.strip_prefix("refused: ")?.split(' ').next()?;
    errno.parse().ok().map(Outcome::Refused)
}

/// Does this for every item, on every processor, each with a spawner of its own; the results are in order.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    start: impl Fn() -> Jailer,
    act: impl Fn(&mut Jailer, &T) -> R + Sync,
) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let share = items.len().div_ceil(processors).max(1);
    // One after another: a program cannot be started while somebody who starts another one has it open for writing.
    let shares: Vec<_> = items.chunks(share).map(|share| (share, start())).collect();
    let act = &act;
    thread::scope(|scope| {
        let begun = shares.into_iter().map(|(items, mut jailer)| {
            let named = thread::Builder::new().name("prober".to_owned());
            let work = move || items.iter().map(|item| act(&mut jailer, item)).collect();
            named.spawn_scoped(scope, work).expect("a thread")
        });
        let begun: Vec<thread::ScopedJoinHandle<'_, Vec<R>>> = begun.collect();
        let joined = begun.into_iter().map(|thread| thread.join());
        joined
            .flat_map(|results| results.expect("no panic"))
            .collect()
    })
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed => f.write_str("**allowed**"),
            Self::Refused(errno) => write!(f, "{:?}", nix::errno::Errno::from_raw(*errno)),
            Self::Killed(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(signal) => f.write_str(signal.as_str()),
                Err(_) => write!(f, "signal {signal}"),
            },
            Self::Exited(status) => write!(f, "exit {status}"),
        }
    }
}
