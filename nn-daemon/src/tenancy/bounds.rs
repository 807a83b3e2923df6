//! The bounds of a tenant: the one table of their names, their units, and what holds where `[tenants.NAME]` says nothing.
//! Pure.

use std::time::Duration;

use super::Rules;
use crate::limits::Limits;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    /// Sessions open at a time.
    Sessions,
    /// Computes in flight.
    Computes,
    /// Computes begun in a second.
    ComputesPerSecond,
    /// The longest time of one compute.
    ComputeMs,
    /// Memory of arenas.
    ArenaBytes,
    /// Tensors that computes read, and those that they gave and that have not been given back.
    Tensors,
    /// Models that guests have loaded from bytes.
    GuestModels,
    /// The bytes of those.
    GuestModelBytes,
}

/// What holds for one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) sessions: u64,
    pub(crate) computes: u64,
    /// None for no bound.
    pub(crate) computes_per_second: Option<u64>,
    pub(crate) compute_ms: u64,
    pub(crate) arena_bytes: u64,
    pub(crate) tensors: u64,
    pub(crate) guest_models: u64,
    pub(crate) guest_model_bytes: u64,
}

// === impl Bound ===

impl Bound {
    /// All, in the order in which people are told of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Sessions,
        Self::Computes,
        Self::ComputesPerSecond,
        Self::ComputeMs,
        Self::ArenaBytes,
        Self::Tensors,
        Self::GuestModels,
        Self::GuestModelBytes,
    ];

    /// Its key in `[tenants.NAME]`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions_max",
            Self::Computes => "computes_max",
            Self::ComputesPerSecond => "computes_per_second_max",
            Self::ComputeMs => "compute_ms_max",
            Self::ArenaBytes => "arena_bytes_max",
            Self::Tensors => "tensors_max",
            Self::GuestModels => "guest_models_max",
            Self::GuestModelBytes => "guest_model_bytes_max",
        }
    }

    /// The key in `[limits]` of what holds for tenants that do not say it.
    pub(crate) const fn in_limits(self) -> &'static str {
        match self {
            Self::Sessions => "sessions_per_tenant_max",
            Self::Computes => "computes_per_tenant_max",
            Self::ComputesPerSecond => "computes_per_second_per_tenant_max",
            Self::ComputeMs => "compute_ms_max",
            Self::ArenaBytes => "arena_bytes_per_tenant_max",
            Self::Tensors => "tensors_per_tenant_max",
            Self::GuestModels => "guest_models_per_tenant_max",
            Self::GuestModelBytes => "guest_model_bytes_per_tenant_max",
        }
    }

    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Sessions | Self::Computes | Self::Tensors | Self::GuestModels => "count",
            Self::ComputesPerSecond => "per_second",
            Self::ComputeMs => "ms",
            Self::ArenaBytes | Self::GuestModelBytes => "bytes",
        }
    }

    /// The most that may be written of it, whatever the others are.
    pub(crate) fn highest(self, limits: &Limits) -> u64 {
        match self {
            Self::ComputesPerSecond => 1_000_000,
            // A compute's own bounds are the model's and the daemon's: a tenant's can only be shorter.
            Self::ComputeMs => limits.compute_ms_max,
            Self::Sessions | Self::Computes | Self::Tensors | Self::GuestModels => u32::MAX.into(),
            // The walls of workers have room for so much that clients left behind.
            Self::ArenaBytes => limits.arena_bytes_per_tenant_max,
            Self::GuestModelBytes => u64::MAX >> 1,
        }
    }

    fn usual(self, limits: &Limits) -> u64 {
        match self {
            Self::Sessions => limits.sessions_per_tenant_max.into(),
            Self::Computes => limits.computes_per_tenant_max.into(),
            Self::ComputesPerSecond => limits.computes_per_second_per_tenant_max.into(),
            Self::ComputeMs => limits.compute_ms_max,
            Self::ArenaBytes => limits.arena_bytes_per_tenant_max,
            Self::Tensors => limits.tensors_per_tenant_max.into(),
            Self::GuestModels => limits.guest_models_per_tenant_max.into(),
            Self::GuestModelBytes => limits.guest_model_bytes_per_tenant_max,
        }
    }
}

// === impl Bounds ===

impl Bounds {
    pub(super) fn of(limits: &Limits, rules: Option<&Rules>) -> Self {
        let value = |bound: Bound| {
            let own = rules.and_then(|rules| rules.own.get(&bound).copied());
            own.unwrap_or_else(|| bound.usual(limits))
        };
        Self {
            sessions: value(Bound::Sessions),
            computes: value(Bound::Computes),
            computes_per_second: Some(value(Bound::ComputesPerSecond)).filter(|&rate| rate > 0),
            compute_ms: value(Bound::ComputeMs).min(limits.compute_ms_max),
            arena_bytes: value(Bound::ArenaBytes),
            tensors: value(Bound::Tensors),
            guest_models: value(Bound::GuestModels),
            guest_model_bytes: value(Bound::GuestModelBytes),
        }
    }

    /// One of them; none where there is no such bound.
    pub(crate) fn get(&self, bound: Bound) -> Option<u64> {
        match bound {
            Bound::Sessions => Some(self.sessions),
            Bound::Computes => Some(self.computes),
            Bound::ComputesPerSecond => self.computes_per_second,
            Bound::ComputeMs => Some(self.compute_ms),
            Bound::ArenaBytes => Some(self.arena_bytes),
            Bound::Tensors => Some(self.tensors),
            Bound::GuestModels => Some(self.guest_models),
            Bound::GuestModelBytes => Some(self.guest_model_bytes),
        }
    }

    pub(crate) fn compute_max(&self) -> Duration {
        Duration::from_millis(self.compute_ms)
    }
}
