//! The configuration file of `nn-host serve` as it is written: which keys there are, what each may say, and what holds
//! where it says nothing. `Config` makes one whole of it and of the flags.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nn_host_shim::TenantLimits;
use nn_tensor::{ModelName, ModelRef, Tenant};

use crate::serve::document::{Mistake, Section};
use crate::serve::route::Pattern;

/// The bounds of the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostLimits {
    pub(crate) requests_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) drain_max: Duration,
    pub(crate) ready_max: Duration,
}

/// The bounds of one request, which a tenant and a route may have of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestLimits {
    pub(crate) memory_max: usize,
    pub(crate) cpu_max: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) compute_timeout: Duration,
    pub(crate) body_bytes_max: u64,
}

/// What all requests of one tenant may take together, and which models they find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TenantRules {
    /// `None` for as many as the process works on.
    pub(crate) requests_max: Option<usize>,
    /// `None` for any number.
    pub(crate) requests_per_second_max: Option<u32>,
    pub(crate) quota: TenantLimits,
    /// `None` for all that the daemon lets it use.
    pub(crate) models: Option<BTreeSet<ModelName>>,
}

/// What `[tenants.NAME]` says.
#[derive(Clone, Debug)]
pub(super) struct TenantTable {
    pub(super) rules: TenantRules,
    pub(super) limits: RequestLimits,
}

/// What one of `[[routes]]` says, or the top of the file where there is but one.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteTable {
    pub(super) pattern: Pattern,
    pub(super) component: Option<PathBuf>,
    pub(super) tenant: Option<Tenant>,
    pub(super) models: Vec<ModelRef>,
    pub(super) env: Vec<(String, String)>,
}

/// Every key of the file's top; the last four are for a file with one route only.
const TOP_KEYS: [&str; 9] = [
    "limits",
    "listen",
    "routes",
    "socket",
    "tenants",
    "component",
    "env",
    "models",
    "tenant",
];

/// Of them, those of a route.
pub(super) const ROUTE_AT_TOP: [&str; 4] = ["component", "env", "models", "tenant"];

const ROUTE_KEYS: [&str; 7] = [
    "component",
    "env",
    "host",
    "limits",
    "models",
    "path",
    "tenant",
];

/// Bounds of one request: they may stand in `[limits]`, in a tenant's section, and in a route's.
const REQUEST_KEYS: [&str; 6] = [
    "body_bytes_max",
    "compute_timeout_ms",
    "cpu_ms_max",
    "memory_max",
    "request_timeout_ms",
    "response_timeout_ms",
];

const HOST_KEYS: [&str; 4] = [
    "connections_max",
    "drain_ms_max",
    "ready_ms_max",
    "requests_max",
];

const TENANT_KEYS: [&str; 6] = [
    "computes_max",
    "models",
    "requests_max",
    "requests_per_second_max",
    "tensor_bytes_max",
    "tensors_max",
];

/// A day: beyond it, a time is a mistake.
const MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Guests at work at a time: each has address space of its own that is kept for it.
const REQUESTS_MAX: u64 = 1024;

/// As many tasks as one process should ever hold.
const CONNECTIONS_MAX: u64 = 1 << 16;

const RATE_MAX: u64 = 1_000_000;
const MEMORY_MIN: u64 = 64 << 10;
const MEMORY_MAX: u64 = 4 << 30;
const BODY_BYTES_MAX: u64 = 1 << 30;
const TENSORS_MAX: u64 = 1 << 32;
const TENSOR_BYTES_MAX: u64 = 1 << 40;

/// Models of one route, and of one tenant.
const MODELS_MAX: usize = 256;

const MODEL_REF: &str = "NAME, NAME@VERSION or NAME:ALIAS";
const NAME: &str = "a letter or digit, then up to 127 of letters, digits, '.', '_', '-'";

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Every key of `[limits]`.
#[cfg(test)]
pub(super) fn limit_keys() -> impl Iterator<Item = &'static str> {
    HOST_KEYS.into_iter().chain(REQUEST_KEYS)
}

/// What the file's top may say besides.
pub(super) fn top_keys(top: &Section<'_>) -> Result<(), Mistake> {
    top.only(&TOP_KEYS)
}

pub(super) fn listen(top: &Section<'_>) -> Result<Option<SocketAddr>, Mistake> {
    top.parsed("listen", "an address and a port, as 127.0.0.1:8080")
}

fn models<T: std::str::FromStr>(
    of: &Section<'_>,
    expected: &str,
) -> Result<Option<Vec<T>>, Mistake> {
    let models = of.list("models", expected)?;
    if models
        .as_ref()
        .is_some_and(|models: &Vec<T>| models.len() > MODELS_MAX)
    {
        let what = format!(
            "{} has too many models; expected at most {MODELS_MAX}",
            of.name("models")
        );
        return Err(of.mistake("models", what));
    }
    Ok(models)
}

// === impl HostLimits ===

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            requests_max: 64,
            connections_max: 1024,
            drain_max: Duration::from_secs(10),
            ready_max: Duration::from_secs(60),
        }
    }
}

impl HostLimits {
    /// From `[limits]`, where there are those of requests as well.
    pub(super) fn read(limits: &Section<'_>) -> Result<Self, Mistake> {
        limits.only(&[HOST_KEYS.as_slice(), &REQUEST_KEYS].concat())?;
        let defaults = Self::default();
        let number = |key, max| limits.number(key, 1, max);
        let count = |key, max, otherwise| Ok(number(key, max)?.map_or(otherwise, size));
        let ms = |key, otherwise| Ok(number(key, MS_MAX)?.map_or(otherwise, Duration::from_millis));
        Ok(Self {
            requests_max: count("requests_max", REQUESTS_MAX, defaults.requests_max)?,
            connections_max: count("connections_max", CONNECTIONS_MAX, defaults.connections_max)?,
            drain_max: ms("drain_ms_max", defaults.drain_max)?,
            ready_max: ms("ready_ms_max", defaults.ready_max)?,
        })
    }
}

// === impl RequestLimits ===

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            memory_max: 256 << 20,
            cpu_max: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(300),
            compute_timeout: Duration::from_secs(30),
            body_bytes_max: 16 << 20,
        }
    }
}

impl RequestLimits {
    /// These, but for what the section says.
    pub(super) fn with(self, section: &Section<'_>) -> Result<Self, Mistake> {
        let ms = |key, otherwise| {
            let given = section.number(key, 1, MS_MAX)?;
            Ok(given.map_or(otherwise, Duration::from_millis))
        };
        let memory = section.number("memory_max", MEMORY_MIN, MEMORY_MAX)?;
        let body = section.number("body_bytes_max", 0, BODY_BYTES_MAX)?;
        Ok(Self {
            memory_max: memory.map_or(self.memory_max, size),
            cpu_max: ms("cpu_ms_max", self.cpu_max)?,
            request_timeout: ms("request_timeout_ms", self.request_timeout)?,
            response_timeout: ms("response_timeout_ms", self.response_timeout)?,
            compute_timeout: ms("compute_timeout_ms", self.compute_timeout)?,
            body_bytes_max: body.unwrap_or(self.body_bytes_max),
        })
    }

    /// The same from a route's own `limits`.
    pub(super) fn with_routes(self, route: &Section<'_>) -> Result<Self, Mistake> {
        let Some(limits) = route.section("limits")? else {
            return Ok(self);
        };
        limits.only(&REQUEST_KEYS)?;
        self.with(&limits)
    }
}

// === impl TenantTable ===

impl TenantTable {
    pub(super) fn read(section: &Section<'_>, limits: RequestLimits) -> Result<Self, Mistake> {
        section.only(&[TENANT_KEYS.as_slice(), &REQUEST_KEYS].concat())?;
        let defaults = TenantLimits::default();
        let number = |key, max, otherwise| Ok(section.number(key, 1, max)?.unwrap_or(otherwise));
        let rate = section.number("requests_per_second_max", 1, RATE_MAX)?;
        let models = models(section, NAME)?;
        Ok(Self {
            rules: TenantRules {
                requests_max: section.number("requests_max", 1, REQUESTS_MAX)?.map(size),
                requests_per_second_max: rate.and_then(|rate| u32::try_from(rate).ok()),
                quota: TenantLimits {
                    tensors_max: number("tensors_max", TENSORS_MAX, defaults.tensors_max)?,
                    tensor_bytes_max: number(
                        "tensor_bytes_max",
                        TENSOR_BYTES_MAX,
                        defaults.tensor_bytes_max,
                    )?,
                    in_flight_max: number("computes_max", TENSORS_MAX, defaults.in_flight_max)?,
                },
                models: models.map(|models| models.into_iter().collect()),
            },
            limits: limits.with(section)?,
        })
    }
}

// === impl RouteTable ===

impl RouteTable {
    /// One of `[[routes]]`.
    pub(super) fn read(section: &Section<'_>) -> Result<Self, Mistake> {
        section.only(&ROUTE_KEYS)?;
        let host = section.text("host")?;
        let path = section.text("path")?;
        let pattern = Pattern::new(host, path.unwrap_or("/"));
        let pattern = pattern.map_err(|(key, expected)| {
            section.mistake(
                key,
                format!("{} is malformed; expected {expected}", section.name(key)),
            )
        })?;
        if section.text("component")?.is_none() {
            let what = format!("there is no {}", section.name("component"));
            return Err(section.mistake("component", what));
        }
        Ok(Self {
            pattern,
            ..Self::read_at_top(section)?
        })
    }

    /// What a file with one route says of it.
    pub(super) fn read_at_top(top: &Section<'_>) -> Result<Self, Mistake> {
        let env = match top.section("env")? {
            Some(env) => variables(&env)?,
            None => Vec::new(),
        };
        Ok(Self {
            pattern: Pattern::default(),
            component: top.text("component")?.map(PathBuf::from),
            tenant: top.parsed("tenant", NAME)?,
            models: models(top, MODEL_REF)?.unwrap_or_default(),
            env,
        })
    }
}

fn variables(env: &Section<'_>) -> Result<Vec<(String, String)>, Mistake> {
    let variables = env.texts()?;
    let wrong = |(name, value): &&(String, String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    match variables.iter().find(wrong) {
        Some((name, _)) => {
            let what = format!("env.{name:?} is no name of a variable, or its value is none");
            Err(env.mistake(name, what))
        }
        None => Ok(variables),
    }
}
