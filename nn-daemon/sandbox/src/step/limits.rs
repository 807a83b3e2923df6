//! Resource limits, soft and hard alike; never more than there was.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Limit;
use crate::apply::{StepResult, failed};

/// Sets one.
pub(crate) fn set(limit: Limit, max: u64) -> StepResult {
    let resource = match limit {
        Limit::Core => Resource::RLIMIT_CORE,
        Limit::FileSize => Resource::RLIMIT_FSIZE,
        Limit::Descriptors => Resource::RLIMIT_NOFILE,
        Limit::LockedMemory => Resource::RLIMIT_MEMLOCK,
        Limit::MessageQueues => Resource::RLIMIT_MSGQUEUE,
        Limit::QueuedSignals => Resource::RLIMIT_SIGPENDING,
        Limit::Stack => Resource::RLIMIT_STACK,
        Limit::Data => Resource::RLIMIT_DATA,
        Limit::Processes => Resource::RLIMIT_NPROC,
    };
    // What was less before stays so: more would take a right that a worker has not.
    let (_, hard) = getrlimit(resource).map_err(failed("getrlimit"))?;
    let max = max.min(hard);
    setrlimit(resource, max, max).map_err(failed("setrlimit"))
}
