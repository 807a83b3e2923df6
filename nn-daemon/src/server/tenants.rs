//! Tenants as the Admin service shows them: every limit of one in one table, with who enforces it.

use std::collections::BTreeSet;

use nn_proto::v1;
use nn_tensor::{Fault, Tenant};

use crate::context::Context;
use crate::tenancy::{Bound, Rules};

/// What a host bounds of its tenants and of the requests of their guests, and its unit. The values are each host's own.
const OF_HOSTS: [(&str, &str); 10] = [
    ("requests_max", "count"),
    ("requests_per_second_max", "per_second"),
    ("computes_max", "count"),
    ("tensors_max", "count"),
    ("tensor_bytes_max", "bytes"),
    ("memory_max", "bytes"),
    ("cpu_ms_max", "ms"),
    ("request_timeout_ms", "ms"),
    ("compute_timeout_ms", "ms"),
    ("body_bytes_max", "bytes"),
];

/// The one that is named, or all that are known.
pub(super) fn told(context: &Context, which: &str) -> Result<Vec<v1::TenantStatus>, Fault> {
    let tenants = match which {
        "" => context.tenancy.known(),
        name => BTreeSet::from([name.parse::<Tenant>()?]),
    };
    Ok(tenants.iter().map(|tenant| one(context, tenant)).collect())
}

fn one(context: &Context, tenant: &Tenant) -> v1::TenantStatus {
    let tenancy = &context.tenancy;
    let listed = tenancy.listed(tenant);
    let is_listed = listed.is_some();
    let rules = listed.unwrap_or_default();
    let own = Bound::ALL.map(|bound| own(context, tenant, &rules, bound));
    let of_hosts = OF_HOSTS.map(|(name, unit)| v1::TenantLimitStatus {
        name: name.to_owned(),
        value: None,
        used: None,
        unit: unit.to_owned(),
        enforced_by: "host".to_owned(),
        own: false,
    });
    let names = rules.models.iter().flatten();
    v1::TenantStatus {
        tenant: tenant.as_str().to_owned(),
        listed: is_listed,
        anybody: tenancy.are_doors_open(),
        all_models: rules.models.is_none(),
        models: names.map(|name| name.as_str().to_owned()).collect(),
        weight: rules.weight,
        uids: rules.uids.unwrap_or_default(),
        limits: own.into_iter().chain(of_hosts).collect(),
    }
}

fn own(context: &Context, tenant: &Tenant, rules: &Rules, bound: Bound) -> v1::TenantLimitStatus {
    v1::TenantLimitStatus {
        name: bound.name().to_owned(),
        value: context.tenancy.bounds(tenant).get(bound),
        used: used(context, tenant, bound),
        unit: bound.unit().to_owned(),
        enforced_by: "daemon".to_owned(),
        own: rules.own.contains_key(&bound),
    }
}

/// None where nothing is counted.
fn used(context: &Context, tenant: &Tenant, bound: Bound) -> Option<u64> {
    let meter = context.tenancy.metered(tenant);
    let meter = meter.as_deref();
    let (guest_models, guest_model_bytes) = context.guests.used_by(tenant);
    match bound {
        Bound::Sessions => u64::try_from(context.sessions.count_of(tenant)).ok(),
        Bound::Computes => Some(meter.map_or(0, |meter| meter.computes())),
        Bound::ArenaBytes => Some(meter.map_or(0, |meter| meter.budget().used())),
        Bound::Tensors => Some(meter.map_or(0, |meter| meter.tensors())),
        Bound::GuestModels => Some(guest_models),
        Bound::GuestModelBytes => Some(guest_model_bytes),
        Bound::ComputesPerSecond | Bound::ComputeMs => None,
    }
}
