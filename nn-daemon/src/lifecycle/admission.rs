//! Whether the machine has room for one worker more, asked before it is started: by the number of all, by the budgets of
//! all and by what all have as it is measured (`measure.rs`), where the operator has set bounds, and by what the load itself
//! may take.
//!
//! Not covered: what workers use beside their budgets (arenas, which their tenants are charged for; code of libraries,
//! which all share), the canary, and what other programs take a moment later. A control group's bound that is closer
//! than the machine's memory is not looked at: there the kernel decides.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nn_tensor::{Fault, Reason};

use crate::limits::Limits;
use crate::model::Need;

/// Enough for the lines that are read.
const MEMINFO_BYTES: usize = 1024;

/// What all workers of models may take together, and take.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    taken: Mutex<Taken>,
    /// What they all have together of what several may have, measured last, in bytes.
    common: AtomicU64,
    /// The least that one of them has of that: libraries, which are there as long as any worker is.
    common_least: AtomicU64,
    /// /proc/meminfo, opened while it surely can be.
    meminfo: Option<File>,
}

/// What workers of models have that run or are being started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) workers: u64,
    /// The sum of their budgets, in bytes.
    pub(crate) budgets: u64,
    /// What each has of its own, measured, or expected of one that has not been measured yet; the sum, in bytes.
    pub(crate) own: u64,
    /// How many of them have been measured, what these have, and how many bytes their models have.
    measured: Measured,
}

/// Workers that have been measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Measured {
    workers: u64,
    own: u64,
    model_bytes: u64,
}

/// What some of them would give back by going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) workers: u64,
    /// The sum of their budgets, in bytes.
    pub(crate) budgets: u64,
    /// What they have of their own, as it was measured last, in bytes.
    pub(crate) own: u64,
    /// What could be over of what several have, in bytes.
    pub(crate) common: u64,
    /// What they have of the machine's memory, in bytes.
    pub(crate) resident: u64,
}

/// One worker's share, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    budget: u64,
    model_bytes: u64,
    own: AtomicU64,
    /// Its part of what several have.
    common: AtomicU64,
    is_measured: AtomicBool,
}

/// What a worker that has not been measured is expected to have besides its model while none has been, in bytes.
const BESIDES_BYTES: u64 = 24 * 1024 * 1024;

// === impl Admission ===

impl Admission {
    pub(crate) fn new(limits: Limits) -> Self {
        let meminfo = File::open("/proc/meminfo");
        let warn = |error: &std::io::Error| {
            tracing::warn!("memory is not looked at before workers start: {error}");
        };
        Self {
            limits,
            taken: Mutex::default(),
            common: AtomicU64::new(0),
            common_least: AtomicU64::new(0),
            meminfo: meminfo.inspect_err(warn).ok(),
        }
    }

    /// Room for a worker with a model that needs so much.
    pub(crate) fn admit(self: &Arc<Self>, need: impl Into<Need>) -> Result<Ticket, Fault> {
        let need = need.into();
        let mut taken = self.lock();
        self.judge(*taken, need, Freed::default())?;
        let budget = need.budget(&self.limits);
        let own = taken.measured.expected(need);
        taken.workers = taken.workers.saturating_add(1);
        taken.budgets = taken.budgets.saturating_add(budget);
        taken.own = taken.own.saturating_add(own);
        Ok(Ticket {
            admission: Arc::clone(self),
            budget,
            model_bytes: need.model_bytes,
            own: AtomicU64::new(own),
            common: AtomicU64::new(0),
            is_measured: AtomicBool::new(false),
        })
    }

    /// Whether there would be room for one if others had gone.
    pub(crate) fn would_admit(&self, need: impl Into<Need>, freed: Freed) -> bool {
        let taken = self.taken();
        let left = Taken {
            workers: taken.workers.saturating_sub(freed.workers),
            budgets: taken.budgets.saturating_sub(freed.budgets),
            own: taken.own.saturating_sub(freed.own),
            measured: taken.measured,
        };
        self.judge(left, need.into(), freed).is_ok()
    }

    fn judge(&self, taken: Taken, need: Need, freed: Freed) -> Result<(), Fault> {
        let limits = &self.limits;
        judge_places(taken.workers, limits.workers_max)?;
        let budget = need.budget(limits);
        judge(taken.budgets, budget, limits.workers_memory_bytes_max)?;
        let common = self.common().saturating_sub(freed.common);
        let own = taken.measured.expected(need);
        judge_measured((taken.own, common), own, limits.models_memory_bytes_max)?;
        let peak = need.load_peak(limits);
        self.available().map_or(Ok(()), |available| {
            judge_load(peak, available.saturating_add(freed.resident))
        })
    }

    /// What all have together.
    pub(crate) fn taken(&self) -> Taken {
        *self.lock()
    }

    /// The sum of the budgets.
    pub(crate) fn used(&self) -> u64 {
        self.taken().budgets
    }

    /// What all of them have together of what several may have, and the least that one has, as it has been measured now.
    pub(super) fn set_common(&self, bytes: u64, least: u64) {
        self.common.store(bytes, Ordering::Relaxed);
        self.common_least.store(least, Ordering::Relaxed);
    }

    fn common(&self) -> u64 {
        self.common.load(Ordering::Relaxed)
    }

    /// What the workers of models have, measured, in bytes.
    pub(crate) fn measured(&self) -> u64 {
        self.taken().own.saturating_add(self.common())
    }

    /// How much more that is than the operator lets them have.
    pub(super) fn excess(&self) -> u64 {
        match self.limits.models_memory_bytes_max {
            0 => 0,
            max => self.measured().saturating_sub(max),
        }
    }

    /// `None` where the kernel does not say.
    fn available(&self) -> Option<u64> {
        let mut text = [0; MEMINFO_BYTES];
        let read = self.meminfo.as_ref()?.read_at(&mut text, 0).ok()?;
        available(std::str::from_utf8(text.get(..read)?).ok()?)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Against the number of workers.
fn judge_places(workers: u64, max: u32) -> Result<(), Fault> {
    if workers < u64::from(max) {
        return Ok(());
    }
    Err(Fault::of(Reason::WorkersFull)
        .expected(format!("at most {max} workers"))
        .got(format!("{workers} of other models, pinned or in use")))
}

/// Against the operator's bound; 0 is none.
fn judge(used: u64, budget: u64, max: u64) -> Result<(), Fault> {
    if max == 0 || used.saturating_add(budget) <= max {
        return Ok(());
    }
    let got = format!("{used} bytes in use, and {budget} for this one");
    let fault = if budget > max {
        Fault::of(Reason::WorkerTooLarge)
            .hint("raise limits.workers_memory_bytes_max, or lower limits.worker_memory_bytes; of a model of remote engines, kserve.in_flight_max or kserve.message_bytes_max")
    } else {
        Fault::of(Reason::WorkersMemoryFull)
            .hint("unload or unpin a model, or raise limits.workers_memory_bytes_max; `nnctl status` shows what is used")
    };
    Err(fault
        .expected(format!("at most {max} bytes, by the workers' budgets"))
        .got(got))
}

/// Against the operator's bound of what is measured; 0 is none.
fn judge_measured((own, common): (u64, u64), one: u64, max: u64) -> Result<(), Fault> {
    let used = own.saturating_add(common);
    if max == 0 || used.saturating_add(one) <= max {
        return Ok(());
    }
    let got = format!("{used} bytes, and {one} expected of this one");
    let fault = if one > max {
        Fault::of(Reason::WorkerTooLarge).hint("raise limits.models_memory_bytes_max")
    } else {
        Fault::of(Reason::WorkersMemoryFull)
            .hint("unload or unpin a model, or raise limits.models_memory_bytes_max; `nnctl list` shows what each has")
    };
    Err(fault
        .expected(format!("at most {max} bytes, measured"))
        .got(got))
}

/// Against what the machine has left.
fn judge_load(peak: u64, available: u64) -> Result<(), Fault> {
    if peak <= available {
        return Ok(());
    }
    Err(Fault::of(Reason::MachineMemory)
        .expected(format!("{peak} bytes: what the load may take"))
        .got(format!("{available} bytes available")))
}

/// `MemAvailable` of /proc/meminfo, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

// === impl Freed ===

impl Freed {
    /// All of these.
    pub(crate) fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), |sum, of| Self {
            workers: sum.workers.saturating_add(of.workers),
            budgets: sum.budgets.saturating_add(of.budgets),
            own: sum.own.saturating_add(of.own),
            common: sum.common.saturating_add(of.common),
            resident: sum.resident.saturating_add(of.resident),
        })
    }
}

// === impl Measured ===

impl Measured {
    /// What a worker will have of its own: as much as one had with the same model before, or else as others have besides
    /// theirs.
    fn expected(self, need: Need) -> u64 {
        if need.loaded_bytes > 0 {
            return need.loaded_bytes;
        }
        let besides = self.own.saturating_sub(self.model_bytes);
        let besides = besides.checked_div(self.workers).unwrap_or(BESIDES_BYTES);
        besides.saturating_add(need.model_bytes)
    }

    fn add(&mut self, own: u64, model_bytes: u64) {
        self.workers = self.workers.saturating_add(1);
        self.own = self.own.saturating_add(own);
        self.model_bytes = self.model_bytes.saturating_add(model_bytes);
    }

    fn take(&mut self, own: u64, model_bytes: u64) {
        self.workers = self.workers.saturating_sub(1);
        self.own = self.own.saturating_sub(own);
        self.model_bytes = self.model_bytes.saturating_sub(model_bytes);
    }
}

// === impl Ticket ===

impl Ticket {
    /// The worker has so much of its own, as it has been measured now.
    pub(super) fn set_own(&self, bytes: u64) {
        let mut taken = self.admission.lock();
        let before = self.own.swap(bytes, Ordering::Relaxed);
        if self.is_measured.swap(true, Ordering::Relaxed) {
            taken.measured.take(before, self.model_bytes);
        }
        taken.measured.add(bytes, self.model_bytes);
        taken.own = taken.own.saturating_sub(before).saturating_add(bytes);
    }

    /// And so much of what several have, which is in what is given to [`Admission::set_common`].
    pub(super) fn set_common(&self, bytes: u64) {
        self.common.store(bytes, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut taken = self.admission.lock();
        // Libraries stay; its arenas go.
        let least = self.admission.common_least.load(Ordering::Relaxed);
        let gone = self.common.load(Ordering::Relaxed).saturating_sub(least);
        let left = self.admission.common().saturating_sub(gone);
        self.admission.common.store(left, Ordering::Relaxed);
        let own = self.own.load(Ordering::Relaxed);
        taken.workers = taken.workers.saturating_sub(1);
        taken.budgets = taken.budgets.saturating_sub(self.budget);
        taken.own = taken.own.saturating_sub(own);
        if self.is_measured.load(Ordering::Relaxed) {
            taken.measured.take(own, self.model_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn admission(max: u64) -> Arc<Admission> {
        Arc::new(Admission::new(Limits {
            workers_max: 1000,
            worker_memory_bytes: 100 * MIB,
            workers_memory_bytes_max: max,
            ..Limits::default()
        }))
    }

    #[test]
    fn one_more_than_there_is_room_for_is_busy_until_another_has_gone() {
        let admission = admission(250 * MIB);
        let first = admission.admit(MIB).unwrap();
        let _second = admission.admit(MIB).unwrap();
        let fault = admission.admit(MIB).unwrap_err();
        assert_eq!(fault.code, Code::Busy);
        assert!(fault.hint.contains("workers_memory_bytes_max"), "{fault}");
        assert_eq!(admission.used(), 208 * MIB);
        drop(first);
        assert!(admission.admit(MIB).is_ok());
    }

    #[test]
    fn others_are_asked_to_go_only_if_that_would_do() {
        let admission = admission(250 * MIB);
        let _two = [admission.admit(MIB).unwrap(), admission.admit(MIB).unwrap()];
        let of = |budgets, resident| Freed {
            workers: 1,
            budgets,
            resident,
            ..Freed::default()
        };
        assert!(admission.would_admit(MIB, of(104 * MIB, 0)));
        assert!(!admission.would_admit(MIB, of(0, u64::MAX)));
        assert!(!admission.would_admit(40 * MIB, of(104 * MIB, 0)));
    }

    #[test]
    fn one_more_than_there_may_be_is_busy_until_another_has_gone() {
        let admission = Arc::new(Admission::new(Limits {
            workers_max: 1,
            ..Limits::default()
        }));
        let first = admission.admit(1_u64).unwrap();
        let fault = admission.admit(1_u64).unwrap_err();
        assert_eq!(fault.code, Code::Busy);
        assert!(fault.hint.contains("limits.workers_max"), "{fault}");
        assert!(admission.would_admit(
            1_u64,
            Freed {
                workers: 1,
                ..Freed::default()
            }
        ));
        drop(first);
        assert_eq!(admission.taken(), Taken::default());
        assert!(admission.admit(1_u64).is_ok());
    }

    fn measured(max: u64) -> Arc<Admission> {
        Arc::new(Admission::new(Limits {
            models_memory_bytes_max: max,
            ..Limits::default()
        }))
    }

    #[test]
    fn what_is_measured_counts_and_not_what_was_expected() {
        let admission = measured(100 * MIB);
        let first = admission.admit(MIB).unwrap();
        assert_eq!(admission.measured(), BESIDES_BYTES + MIB);
        admission.set_common(20 * MIB, 20 * MIB);
        first.set_own(41 * MIB);
        assert_eq!(admission.measured(), 61 * MIB);
        // As much besides its model as the first has.
        let fault = admission.admit(MIB).unwrap_err();
        assert_eq!(fault.code, Code::Busy);
        assert!(fault.hint.contains("models_memory_bytes_max"), "{fault}");
        first.set_own(11 * MIB);
        let second = admission.admit(2 * MIB).unwrap();
        assert_eq!(admission.measured(), 43 * MIB);
        second.set_own(90 * MIB);
        assert_eq!(admission.excess(), 21 * MIB);
        second.set_common(30 * MIB);
        admission.set_common(50 * MIB, 20 * MIB);
        drop((first, second));
        assert_eq!(admission.taken(), Taken::default());
        assert_eq!(admission.measured(), 40 * MIB, "its arenas are gone");
    }

    #[test]
    fn what_one_had_before_is_expected_of_the_next() {
        let admission = measured(100 * MIB);
        let need = |loaded_bytes| Need {
            model_bytes: MIB,
            loaded_bytes,
            ..Need::default()
        };
        let _large = admission.admit(need(60 * MIB)).unwrap();
        assert_eq!(
            admission.admit(need(50 * MIB)).unwrap_err().code,
            Code::Busy
        );
        let freed = Freed {
            workers: 1,
            own: 60 * MIB,
            ..Freed::default()
        };
        assert!(admission.would_admit(need(50 * MIB), freed));
        let fault = admission.admit(need(101 * MIB)).unwrap_err();
        assert_eq!(fault.code, Code::TooLarge);
    }

    #[test]
    fn a_relay_counts_with_what_its_messages_may_take() {
        let admission = admission(250 * MIB);
        let relay = |messages| Need {
            messages_bytes: Some(messages),
            ..Need::default()
        };
        let _small = admission.admit(relay(36 * MIB)).unwrap();
        assert_eq!(admission.used(), 100 * MIB);
        let fault = admission.admit(relay(100 * MIB)).unwrap_err();
        assert_eq!(fault.code, Code::Busy);
        let fault = admission.admit(relay(200 * MIB)).unwrap_err();
        assert_eq!(fault.code, Code::TooLarge);
        assert!(fault.hint.contains("kserve.in_flight_max"), "{fault}");
    }

    #[test]
    fn one_that_never_has_room_is_too_large() {
        let fault = admission(250 * MIB).admit(50 * MIB).unwrap_err();
        assert_eq!(fault.code, Code::TooLarge);
    }

    #[test]
    fn without_a_bound_only_the_machine_says_no() {
        let admission = admission(0);
        let all: Vec<_> = (0..100).map(|_| admission.admit(1_u64).unwrap()).collect();
        assert_eq!(all.len(), 100);
        let fault = admission.admit(1_u64 << 60).unwrap_err();
        assert_eq!(fault.code, Code::Busy);
        assert!(fault.got.contains("available"), "{fault}");
    }

    #[test]
    fn what_is_available_is_read_from_the_kernels_words() {
        let text = "MemTotal:  8000 kB\nMemFree: 10 kB\nMemAvailable:     4000 kB\nBuffers:";
        assert_eq!(available(text), Some(4000 * 1024));
        assert_eq!(available("MemAvailable: many kB"), None);
    }
}
