//! What bounds may be: none is nothing, or so much that it is none. Pure.

use super::ConfigError;
use crate::limits::Limits;

/// What the spawner starts at most, less a canary of each framework.
const WORKERS_MAX: u32 = 254;

/// The longest time that may be set: sums of some of them stay far from the end of the clock.
const MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

/// The largest message that clients of gRPC take.
const MESSAGE_MAX: u64 = (1 << 31) - 1;

/// Bounds that may be nothing: no grace, and no bound at all.
const ZEROS: [&str; 6] = [
    "computes_per_second_per_tenant_max",
    "prepared_bytes_max",
    "prepare_after_ms",
    "compute_grace_ms",
    "workers_memory_bytes_max",
    "models_memory_bytes_max",
];

pub(super) fn check(limits: &Limits) -> Result<(), ConfigError> {
    let zero = limits
        .list()
        .into_iter()
        .find(|&(name, value, _)| value == 0 && !ZEROS.contains(&name));
    if let Some((name, got, _)) = zero {
        return Err(ConfigError::Limit {
            name,
            got,
            expected: "1 or more",
        });
    }
    let endless = limits
        .list()
        .into_iter()
        .find(|&(_, value, unit)| unit == "ms" && value > MS_MAX);
    if let Some((name, got, _)) = endless {
        return Err(ConfigError::Limit {
            name,
            got,
            expected: "at most 2592000000, which is 30 days",
        });
    }
    let message = limits.kserve_message_bytes_max;
    if message > MESSAGE_MAX || message > limits.kserve_bytes_per_uid_max {
        return Err(ConfigError::Limit {
            name: "kserve_message_bytes_max",
            got: message,
            expected: "at most 2147483647, and no more than limits.kserve_bytes_per_uid_max",
        });
    }
    let ends = [
        ("workers_max", limits.workers_max, WORKERS_MAX, "1 to 254"),
        (
            "quarantine_crashes",
            limits.quarantine_crashes,
            100,
            "1 to 100",
        ),
        ("worker_window", limits.worker_window, 16, "1 to 16"),
    ];
    match ends.into_iter().find(|(_, value, max, _)| value > max) {
        Some((name, got, _, expected)) => Err(ConfigError::Limit {
            name,
            got: got.into(),
            expected,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_clock_can_hold_is_refused() {
        let limits = Limits {
            compute_ms_max: u64::MAX,
            ..Limits::default()
        };
        assert!(matches!(
            check(&limits),
            Err(ConfigError::Limit {
                name: "compute_ms_max",
                ..
            })
        ));
    }

    #[test]
    fn a_limit_of_nothing_is_refused() {
        let limits = Limits {
            queue_per_model_max: 0,
            ..Limits::default()
        };
        assert!(matches!(
            check(&limits),
            Err(ConfigError::Limit {
                name: "queue_per_model_max",
                ..
            })
        ));
    }
}
