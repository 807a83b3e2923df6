//! Resource limits, soft and hard alike.

use nix::sys::resource::{Resource, setrlimit};

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
    setrlimit(resource, max, max).map_err(failed("setrlimit"))
}
