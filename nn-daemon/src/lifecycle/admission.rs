//! Whether the machine has room for one worker more, asked before it is started: by the budgets of all, where the
//! operator has set a bound, and by what the load itself may take.
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
    /// The sum of the budgets of workers that run or are being started.
    budgets: Mutex<u64>,
    /// /proc/meminfo, opened while it surely can be.
    meminfo: Option<File>,
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
            budgets: Mutex::new(0),
            meminfo: meminfo.inspect_err(warn).ok(),
        }
    }

    /// Room for a worker with a model of that size.
    pub(crate) fn admit(self: &Arc<Self>, model_bytes: u64) -> Result<Ticket, Fault> {
        let mut budgets = self.budgets();
        let (max, budget) = (
            self.limits.workers_memory_bytes_max,
            self.limits.worker_budget(model_bytes),
        );
        judge(*budgets, budget, max)?;
        if let Some(available) = self.available() {
            judge_load(self.limits.load_peak(model_bytes), available)?;
        }
        *budgets = budgets.saturating_add(budget);
        Ok(Ticket {
            admission: Arc::clone(self),
            budget,
        })
    }

    /// Whether there would be room for one if others with these budgets, and so much memory, had gone.
    pub(crate) fn would_admit(&self, model_bytes: u64, budgets: u64, resident: u64) -> bool {
        let (max, budget) = (
            self.limits.workers_memory_bytes_max,
            self.limits.worker_budget(model_bytes),
        );
        let used = self.used().saturating_sub(budgets);
        let peak = self.limits.load_peak(model_bytes);
        let available = self.available();
        let available = available.map(|available| available.saturating_add(resident));
        judge(used, budget, max).is_ok()
            && available.is_none_or(|available| judge_load(peak, available).is_ok())
    }

    /// The sum of the budgets.
    pub(crate) fn used(&self) -> u64 {
        *self.budgets()
    }

    /// `None` where the kernel does not say.
    fn available(&self) -> Option<u64> {
        let mut text = [0; MEMINFO_BYTES];
        let read = self.meminfo.as_ref()?.read_at(&mut text, 0).ok()?;
        available(std::str::from_utf8(text.get(..read)?).ok()?)
    }

    fn budgets(&self) -> MutexGuard<'_, u64> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            .hint("unload a model, or raise limits.workers_memory_bytes_max; `nnctl status` shows what is used")
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

// === impl Ticket ===

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut budgets = self.admission.budgets();
        *budgets = budgets.saturating_sub(self.budget);
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn admission(max: u64) -> Arc<Admission> {
        Arc::new(Admission::new(Limits {
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
        assert!(admission.would_admit(MIB, 104 * MIB, 0));
        assert!(!admission.would_admit(MIB, 0, u64::MAX));
        assert!(!admission.would_admit(40 * MIB, 104 * MIB, 0));
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
