//! Why a worker has ended, from what the daemon had ordered and what is reported. Pure.

use nn_tensor::{Fault, Reason};
use nn_worker_wire::{End, status};

/// As the kernel reports them.
const PANIC: i32 = status::PANIC as i32;
const OUT_OF_MEMORY: i32 = status::OUT_OF_MEMORY as i32;
const FRAMEWORK: i32 = status::FRAMEWORK as i32;
const JAIL: i32 = status::JAIL as i32;
const NOT_STARTED: i32 = status::NOT_STARTED as i32;

/// Why a worker is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It left when asked to.
    Clean,
    /// Its own code panicked.
    Panic,
    /// It used up its memory budget where that could not be answered.
    OutOfMemory,
    /// It left with a status of its own: something was wrong with its start or with what it was told.
    Status(i32),
    /// It died by a signal that its own code raised: a fault in framework or model.
    Crash(&'static str),
    /// It made a system call that it may not make (SIGSYS).
    Violation,
    /// Somebody killed it: the operator, the system for want of memory, the daemon.
    Killed,
    /// The daemon killed it: a compute went on past its deadline and would not stop.
    Timeout,
    /// It answered what the protocol does not allow, and was killed for it.
    Protocol,
    /// It closed its socket, lived on, and was killed for it.
    Closed,
    /// How it ended could not be learnt in time.
    Unknown,
}

/// What the daemon has ordered of a worker, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// To leave; by force, if it does not.
    Leave,
    /// To be killed: a compute went on past its deadline and would not stop.
    Overstayed,
    /// To be killed: it has no job and does not answer.
    Silent,
    /// To be killed: a frame cannot be sent to it.
    Unreachable,
    /// To be killed: it broke the protocol.
    Violation,
    /// To be killed: it closed its socket and lives on.
    Closed,
}

/// What is known of an end, when it has to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The kernel's word.
    Ended(End),
    /// Its socket has ended and its process has not.
    Lives,
    /// Nothing: its socket has ended, and nobody has said in time how it did.
    Late,
}

impl Cause {
    /// The cause of an end. The kernel's word counts for what a worker has done; for what was done to it, or where there
    /// is no word, it is what was ordered first. So it is the same in whatever order report, socket and kill come.
    pub(crate) fn judge(ordered: Option<Order>, report: Report) -> Self {
        match (ordered, report) {
            (Some(Order::Violation), _) => Self::Protocol,
            (_, Report::Ended(end)) => match Self::of(end) {
                Self::Killed => ordered.map_or(Self::Killed, Order::kills_by),
                // Nobody had asked it to.
                Self::Clean if ordered != Some(Order::Leave) => Self::Status(0),
                done => done,
            },
            (Some(Order::Leave), Report::Late) => Self::Clean,
            (Some(order), Report::Late | Report::Lives) => order.kills_by(),
            (None, Report::Lives) => Self::Closed,
            (None, Report::Late) => Self::Unknown,
        }
    }

    /// Reads the end of a process.
    fn of(end: End) -> Self {
        match end {
            End::Exit(0) => Self::Clean,
            End::Exit(PANIC) => Self::Panic,
            End::Exit(OUT_OF_MEMORY) => Self::OutOfMemory,
            End::Exit(status) => Self::Status(status),
            End::Signal(4) => Self::Crash("SIGILL"),
            End::Signal(6) => Self::Crash("SIGABRT"),
            End::Signal(7) => Self::Crash("SIGBUS"),
            End::Signal(8) => Self::Crash("SIGFPE"),
            End::Signal(9 | 15) => Self::Killed,
            End::Signal(11) => Self::Crash("SIGSEGV"),
            End::Signal(31) => Self::Violation,
            End::Signal(_) => Self::Crash("a signal"),
        }
    }

    /// What its callers are told.
    pub(crate) fn fault(&self) -> Fault {
        Fault::of(self.reason()).message(format!("the model's worker {self}"))
    }

    const fn reason(&self) -> Reason {
        match self {
            Self::Killed | Self::Timeout | Self::Clean => Reason::WorkerKilled,
            Self::OutOfMemory => Reason::WorkerMemory,
            Self::Violation | Self::Protocol | Self::Closed => Reason::WorkerForbidden,
            Self::Panic | Self::Status(_) | Self::Crash(_) | Self::Unknown => Reason::WorkerCrashed,
        }
    }
}

/// Follows "the worker".
impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clean => f.write_str("left"),
            Self::Panic => f.write_str("failed by a defect of its own (panic)"),
            Self::OutOfMemory => f.write_str("ran out of memory"),
            Self::Status(JAIL) => f.write_str("could not build its jail"),
            Self::Status(FRAMEWORK) => f.write_str("could not load its framework"),
            Self::Status(NOT_STARTED) => {
                f.write_str("could not be prepared between clone and exec")
            }
            Self::Status(status) => write!(f, "gave up with status {status}"),
            Self::Crash(signal) => write!(f, "crashed ({signal})"),
            Self::Violation => {
                f.write_str("made a forbidden system call and was stopped (violation)")
            }
            Self::Killed => f.write_str("was killed"),
            Self::Timeout => f.write_str("was killed because a compute overstayed its deadline"),
            Self::Protocol => f.write_str("broke the protocol and was killed"),
            Self::Closed => f.write_str("closed its socket and was killed"),
            Self::Unknown => f.write_str("vanished"),
        }
    }
}

// === impl Order ===

impl Order {
    /// The cause of an end by SIGKILL after it.
    fn kills_by(self) -> Cause {
        match self {
            Self::Leave | Self::Unreachable => Cause::Killed,
            Self::Overstayed | Self::Silent => Cause::Timeout,
            Self::Violation => Cause::Protocol,
            Self::Closed => Cause::Closed,
        }
    }
}

/// Why it is given.
impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Leave => "it did not leave when asked to",
            Self::Overstayed => "a compute overstayed its deadline",
            Self::Silent => "it has no job and does not answer",
            Self::Unreachable => "it cannot be spoken to",
            Self::Violation => "it broke the protocol",
            Self::Closed => "it closed its socket",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quarantine::Kind;

    const ORDERS: [Option<Order>; 7] = [
        None,
        Some(Order::Leave),
        Some(Order::Overstayed),
        Some(Order::Silent),
        Some(Order::Unreachable),
        Some(Order::Violation),
        Some(Order::Closed),
    ];

    const KILLED: Report = Report::Ended(End::Signal(9));

    fn orders() -> impl Strategy<Value = Option<Order>> {
        prop::sample::select(ORDERS.to_vec())
    }

    fn ends() -> impl Strategy<Value = End> {
        prop_oneof![
            any::<i32>().prop_map(End::Exit),
            (0_i32..3).prop_map(End::Exit),
            (1_i32..65).prop_map(End::Signal),
        ]
    }

    /// What happens around an end.
    #[derive(Clone, Copy, Debug)]
    enum Happens {
        Ordered(Order),
        Reported(End),
        SocketEnded,
    }

    /// As the parts of the daemon note it, each for itself.
    fn judged(history: &[Happens]) -> Cause {
        let mut ordered = None;
        let mut report = Report::Late;
        for happens in history {
            match happens {
                Happens::Ordered(order) => ordered = ordered.or(Some(*order)),
                Happens::Reported(end) => report = Report::Ended(*end),
                Happens::SocketEnded => {}
            }
        }
        Cause::judge(ordered, report)
    }

    proptest! {
        #[test]
        fn the_cause_is_the_same_in_whatever_order_report_socket_and_kill_come(
            order in orders(),
            end in ends(),
            turns in 0_usize..6,
        ) {
            let mut history: Vec<Happens> = order.map(Happens::Ordered).into_iter().collect();
            history.extend([Happens::Reported(end), Happens::SocketEnded]);
            let first = judged(&history);
            let len = history.len();
            history.rotate_left(turns % len);
            prop_assert_eq!(&judged(&history), &first);
            history.reverse();
            prop_assert_eq!(&judged(&history), &first);
        }

        #[test]
        fn a_report_that_is_late_is_held_against_no_model(order in orders()) {
            let kind = Kind::of(&Cause::judge(order, Report::Late));
            let own = matches!(order, Some(Order::Violation | Order::Closed));
            prop_assert_eq!(kind.is_some(), own);
        }

        #[test]
        fn what_the_daemon_decided_for_itself_is_held_against_no_model(
            order in orders(),
            report in prop::sample::select(vec![KILLED, Report::Late, Report::Lives]),
        ) {
            let deed = matches!(order, None | Some(Order::Violation | Order::Closed));
            prop_assume!(!deed);
            prop_assert_eq!(Kind::of(&Cause::judge(order, report)), None);
        }

        #[test]
        fn a_crash_is_a_crash_whatever_was_ordered(order in orders(), signal in 1_i32..65) {
            prop_assume!(![9, 15].contains(&signal) && order != Some(Order::Violation));
            let end = End::Signal(signal);
            prop_assert_eq!(Cause::judge(order, Report::Ended(end)), Cause::of(end));
        }
    }

    #[test]
    fn a_kill_is_explained_by_its_order() {
        let causes = ORDERS.map(|order| Cause::judge(order, KILLED));
        let expected = [
            Cause::Killed,
            Cause::Killed,
            Cause::Timeout,
            Cause::Timeout,
            Cause::Killed,
            Cause::Protocol,
            Cause::Closed,
        ];
        assert_eq!(causes, expected);
    }

    #[test]
    fn only_who_was_asked_leaves_clean_and_only_who_lives_has_closed_its_socket() {
        let left = Report::Ended(End::Exit(0));
        let judge = |order, report| Cause::judge(order, report);
        assert_eq!(judge(Some(Order::Leave), left), Cause::Clean);
        assert_eq!(judge(None, left), Cause::Status(0));
        assert_eq!(judge(None, Report::Lives), Cause::Closed);
        assert_eq!(judge(None, Report::Late), Cause::Unknown);
    }

    #[test]
    fn ends_are_told_apart() {
        let causes = [
            End::Exit(0),
            End::Exit(134),
            End::Exit(137),
            End::Signal(9),
            End::Signal(31),
            End::Signal(11),
        ]
        .map(Cause::of);
        let expected = [
            Cause::Clean,
            Cause::Panic,
            Cause::OutOfMemory,
            Cause::Killed,
            Cause::Violation,
            Cause::Crash("SIGSEGV"),
        ];
        assert_eq!(causes, expected);
    }
}
