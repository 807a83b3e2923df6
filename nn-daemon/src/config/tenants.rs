//! `[tenants]` as written into what is meant by it. Pure.

use nn_tensor::Tenant;

use super::{ConfigError, file};
use crate::limits::Limits;
use crate::tenancy::{Bound, Listed, Rules};

/// The largest weight, and the most names of models.
const WEIGHT_MAX: u64 = 100;
const MODELS_MAX: usize = 256;

pub(super) fn tenants(
    written: impl IntoIterator<Item = (String, file::Tenant)>,
    limits: &Limits,
) -> Result<Listed, ConfigError> {
    let rules = |(name, of): (String, file::Tenant)| {
        let name: Tenant = name.parse()?;
        let rules = rules(&name, of, limits)?;
        Ok((name, rules))
    };
    written.into_iter().map(rules).collect()
}

/// Says what of `[tenants]` may not be what is meant.
pub(super) fn warn(listed: &Listed) {
    let without = listed.iter().filter(|(_, rules)| rules.uids.is_none());
    let without: Vec<&str> = without.map(|(name, _)| name.as_str()).collect();
    if without.is_empty() {
        return;
    }
    if without.len() == listed.len() {
        tracing::warn!(
            "[tenants] bounds tenants and gives uids of none: whoever may connect acts for any tenant, also for one without \
             bounds"
        );
    } else {
        let names = without.join(", ");
        tracing::warn!("[tenants] gives no uids of {names}, but of others: nobody may act for it");
    }
}

fn rules(name: &Tenant, of: file::Tenant, limits: &Limits) -> Result<Rules, ConfigError> {
    let wrong = |key: &str, got: String, expected: String| ConfigError::OfTenant {
        key: format!("tenants.{name}.{key}"),
        got,
        expected,
    };
    let weight = of.weight.unwrap_or(1);
    if !(1..=WEIGHT_MAX).contains(&weight) {
        return Err(wrong(
            "weight",
            weight.to_string(),
            format!("1 to {WEIGHT_MAX}"),
        ));
    }
    let names = of.models.as_ref().map_or(0, Vec::len);
    if names > MODELS_MAX {
        let expected = format!("at most {MODELS_MAX}");
        return Err(wrong("models", format!("{names} names"), expected));
    }
    let models = of.models.as_ref().map(|names| {
        let parsed = names.iter().map(|text| {
            let expected = || "the name of a model, without version and alias".to_owned();
            text.parse()
                .map_err(|_| wrong("models", format!("{text:?}"), expected()))
        });
        parsed.collect()
    });
    let said = bounds(&of).into_iter();
    let own = said.filter_map(|(bound, value)| Some((bound, value?)));
    let own = own.map(|(bound, value)| {
        let max = bound.highest(limits);
        if (1..=max).contains(&value) {
            return Ok((bound, value));
        }
        let whose = match bound {
            Bound::ComputeMs | Bound::ArenaBytes => {
                format!(", which is limits.{}", bound.in_limits())
            }
            _ => String::new(),
        };
        Err(wrong(
            bound.name(),
            value.to_string(),
            format!("1 to {max}{whose}"),
        ))
    });
    Ok(Rules {
        own: own.collect::<Result<_, _>>()?,
        models: models.transpose()?,
        weight: u32::try_from(weight).unwrap_or(1),
        uids: of.uids,
    })
}

fn bounds(of: &file::Tenant) -> [(Bound, Option<u64>); 8] {
    Bound::ALL.map(|bound| {
        let value = match bound {
            Bound::Sessions => of.sessions_max,
            Bound::Computes => of.computes_max,
            Bound::ComputesPerSecond => of.computes_per_second_max,
            Bound::ComputeMs => of.compute_ms_max,
            Bound::ArenaBytes => of.arena_bytes_max,
            Bound::Tensors => of.tensors_max,
            Bound::GuestModels => of.guest_models_max,
            Bound::GuestModelBytes => of.guest_model_bytes_max,
        };
        (bound, value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> Result<Listed, ConfigError> {
        let file: file::File = toml::from_str(text).unwrap();
        tenants(file.tenants, &file.limits)
    }

    #[test]
    fn every_key_is_taken_up() {
        let bounds: String = Bound::ALL
            .iter()
            .map(|bound| format!("{} = 7\n", bound.name()))
            .collect();
        let text = format!("[tenants.a]\nuids = [1]\nmodels = [\"foo\"]\nweight = 3\n{bounds}");
        let listed = listed(&text).unwrap();
        let rules = &listed[&"a".parse().unwrap()];
        assert_eq!((rules.uids.as_deref(), rules.weight), (Some(&[1][..]), 3));
        assert_eq!(rules.models.as_ref().unwrap().len(), 1);
        assert_eq!(rules.own.len(), Bound::ALL.len());
        assert!(rules.own.values().all(|&value| value == 7));
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_key() {
        let many = format!("models = {:?}", vec!["m"; 257]);
        for (text, key) in [
            ("weight = 0", "tenants.a.weight is 0"),
            ("weight = 101", "tenants.a.weight is 101"),
            ("computes_max = 0", "tenants.a.computes_max is 0"),
            (
                "compute_ms_max = 60001",
                "1 to 60000, which is limits.compute_ms_max",
            ),
            ("models = [\"foo@1\"]", "tenants.a.models is \"foo@1\""),
            (many.as_str(), "tenants.a.models is 257 names"),
        ] {
            let error = listed(&format!("[tenants.a]\n{text}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
