//! Whether the machine has room for one worker more, asked before it is started: by the number of all, by the budgets of
//! all, where the operator has set a bound, and by what the load itself may take.
//!
//! Not covered: what workers use beside their budgets (arenas, which their tenants are charged for; code of libraries,
//! which all share), the canary, and what other programs take a moment later. A control group's bound that is closer
//! than the machine's memory is not looked at: there the kernel decides.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nn_tensor::Fault;

use crate::limits::Limits;

/// Enough for the lines that are read.
const MEMINFO_BYTES: usize = 1024;

/// What all workers of models may take together, and take.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    taken: Mutex<Taken>,
    /// /proc/meminfo, opened while it surely can be.
    meminfo: Option<File>,
}

/// What workers of models have that run or are being started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) workers: u64,
    /// The sum of their budgets, in bytes.
    pub(crate) budgets: u64,
}

/// What some of them would give back by going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) workers: u64,
    /// The sum of their budgets, in bytes.
    pub(crate) budgets: u64,
    /// What they have of the machine's memory, in bytes.
    pub(crate) resident: u64,
}

/// One worker's share, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    budget: u64,
}

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
            meminfo: meminfo.inspect_err(warn).ok(),
        }
    }

    /// Room for a worker with a model of that size.
    pub(crate) fn admit(self: &Arc<Self>, model_bytes: u64) -> Result<Ticket, Fault> {
        let mut taken = self.lock();
        self.judge(*taken, model_bytes, 0)?;
        let budget = self.limits.worker_budget(model_bytes);
        taken.workers = taken.workers.saturating_add(1);
        taken.budgets = taken.budgets.saturating_add(budget);
        Ok(Ticket {
            admission: Arc::clone(self),
            budget,
        })
    }

    /// Whether there would be room for one if others had gone.
    pub(crate) fn would_admit(&self, model_bytes: u64, freed: Freed) -> bool {
        let taken = self.taken();
        let left = Taken {
            workers: taken.workers.saturating_sub(freed.workers),
            budgets: taken.budgets.saturating_sub(freed.budgets),
        };
        self.judge(left, model_bytes, freed.resident).is_ok()
    }

    fn judge(&self, taken: Taken, model_bytes: u64, resident: u64) -> Result<(), Fault> {
        judge_places(taken.workers, self.limits.workers_max)?;
        let budget = self.limits.worker_budget(model_bytes);
        judge(taken.budgets, budget, self.limits.workers_memory_bytes_max)?;
        let peak = self.limits.load_peak(model_bytes);
        self.available().map_or(Ok(()), |available| {
            judge_load(peak, available.saturating_add(resident))
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
    Err(
        Fault::busy("no worker can be started now: there are as many as there may be")
            .expected(format!("at most {max} workers"))
            .got(format!("{workers} of other models, pinned or in use"))
            .hint("try again later, unload or unpin a model, or raise limits.workers_max"),
    )
}

/// Against the operator's bound; 0 is none.
fn judge(used: u64, budget: u64, max: u64) -> Result<(), Fault> {
    if max == 0 || used.saturating_add(budget) <= max {
        return Ok(());
    }
    let got = format!("{used} bytes in use, and {budget} for this one");
    let fault = if budget > max {
        Fault::too_large("the model's worker would exceed the memory of all workers")
            .hint("raise limits.workers_memory_bytes_max, or lower limits.worker_memory_bytes")
    } else {
        Fault::busy("the workers of other models have the memory that this one needs")
            .hint("unload or unpin a model, or raise limits.workers_memory_bytes_max; `nnctl status` shows what is used")
    };
    Err(fault
        .expected(format!("at most {max} bytes, by the workers' budgets"))
        .got(got))
}

/// Against what the machine has left.
fn judge_load(peak: u64, available: u64) -> Result<(), Fault> {
    if peak <= available {
        return Ok(());
    }
    Err(
        Fault::busy("the machine has not the memory that loading the model may take")
            .expected(format!("{peak} bytes: four times the model"))
            .got(format!("{available} bytes available"))
            .hint("unload a model, end another program, or serve it from a larger machine"),
    )
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
            resident: sum.resident.saturating_add(of.resident),
        })
    }
}

// === impl Ticket ===

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut taken = self.admission.lock();
        taken.workers = taken.workers.saturating_sub(1);
        taken.budgets = taken.budgets.saturating_sub(self.budget);
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
        let first = admission.admit(1).unwrap();
        let fault = admission.admit(1).unwrap_err();
        assert_eq!(fault.code, Code::Busy);
        assert!(fault.hint.contains("limits.workers_max"), "{fault}");
        assert!(admission.would_admit(
            1,
            Freed {
                workers: 1,
                ..Freed::default()
            }
        ));
        drop(first);
        assert_eq!(admission.taken(), Taken::default());
        assert!(admission.admit(1).is_ok());
    }

    #[test]
    fn one_that_never_has_room_is_too_large() {
        let fault = admission(250 * MIB).admit(50 * MIB).unwrap_err();
        assert_eq!(fault.code, Code::TooLarge);
    }

    #[test]
    fn without_a_bound_only_the_machine_says_no() {
        let admission = admission(0);
        let all: Vec<_> = (0..100).map(|_| admission.admit(1).unwrap()).collect();
        assert_eq!(all.len(), 100);
        let fault = admission.admit(1 << 60).unwrap_err();
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
