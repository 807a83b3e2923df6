//! For which tenant a client over TCP acts: its certificate has a name that the configuration gives to a tenant, or the
//! configuration has a tenant for all others. It acts for that one alone, and its metadata changes nothing about that.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use nn_tensor::Tenant;

use crate::peer::{NameId, Remote};

/// What `[kserve]` says of tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteTenants {
    /// Of those whose certificate has none of the names, and of those who show none.
    pub(crate) others: Option<Tenant>,
    /// By a name of the certificate: of a host, in small letters, or a URI.
    pub(crate) by_name: BTreeMap<String, Tenant>,
}

/// The same, with a number for each name that there has been since the start: as many as configurations have had.
#[derive(Debug, Default)]
pub(crate) struct Remotes(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    said: RemoteTenants,
    names: Vec<Arc<str>>,
}

/// A certificate whose names are given to two tenants.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "its certificate has the names {0} and {1}, which [kserve.tenants] gives to two tenants; expected names of one"
)]
pub(crate) struct TwoTenants(String, String);

// === impl Remotes ===

impl Remotes {
    /// From now on it is this.
    pub(crate) fn replace(&self, said: RemoteTenants) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for name in said.by_name.keys() {
            if !known.names.iter().any(|there| **there == **name) {
                known.names.push(name.as_str().into());
            }
        }
        known.said = said;
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// By which of a certificate's names it is known: one that a tenant is given to.
    ///
    /// # Errors
    /// When its names are of two tenants: in which order a certificate has them is nobody's decision.
    pub(crate) fn known_by<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<NameId>, TwoTenants> {
        let known = self.known();
        let mut first: Option<(&String, &Tenant)> = None;
        for name in names {
            let small = name.to_ascii_lowercase();
            let name = if name.contains(':') { name } else { &small };
            let Some(found) = known.said.by_name.get_key_value(name) else {
                continue;
            };
            match first {
                Some(one) if one.1 != found.1 => {
                    return Err(TwoTenants(one.0.clone(), found.0.clone()));
                }
                Some(_) => {}
                None => first = Some(found),
            }
        }
        Ok(first.and_then(|(name, _)| known.id(name)))
    }

    /// For whom it acts.
    pub(crate) fn tenant(&self, remote: Remote) -> Option<Tenant> {
        let known = self.known();
        let Some(id) = remote.name else {
            return known.said.others.clone();
        };
        // A name that a reload has taken away is nobody's: its certificate was let in for that name.
        known.said.by_name.get(&**known.name(id)?).cloned()
    }

    /// Who that is, for people.
    pub(crate) fn told(&self, remote: Remote) -> String {
        let address = remote.address;
        let known = self.known();
        match remote.name.and_then(|id| known.name(id)) {
            Some(name) => format!("{name} {address}"),
            None => address.to_string(),
        }
    }
}

impl Known {
    fn id(&self, name: &str) -> Option<NameId> {
        let at = self.names.iter().position(|there| **there == *name)?;
        u32::try_from(at).ok().map(NameId)
    }

    fn name(&self, NameId(at): NameId) -> Option<&Arc<str>> {
        self.names.get(usize::try_from(at).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(others: Option<&str>, names: &[(&str, &str)]) -> RemoteTenants {
        let tenant = |name: &str| name.parse::<Tenant>().unwrap();
        RemoteTenants {
            others: others.map(tenant),
            by_name: names
                .iter()
                .map(|(name, of)| ((*name).to_owned(), tenant(of)))
                .collect(),
        }
    }

    fn remote(name: Option<NameId>) -> Remote {
        let address = "10.0.0.7".parse().unwrap();
        Remote { address, name }
    }

    #[test]
    fn a_name_that_has_a_tenant_counts_and_others_have_theirs() {
        let remotes = Remotes::default();
        remotes.replace(said(
            Some("rest"),
            &[("a.example", "a"), ("spiffe://x/b", "b")],
        ));
        let tenant = |names: &[&str]| {
            let name = remotes.known_by(names.iter().copied()).unwrap();
            let tenant = remotes.tenant(remote(name)).unwrap();
            tenant.as_str().to_owned()
        };
        assert_eq!(tenant(&["no.example", "spiffe://x/b", "spiffe://x/b"]), "b");
        for names in [["spiffe://x/b", "a.example"], ["a.example", "spiffe://x/b"]] {
            let error = remotes.known_by(names).unwrap_err();
            assert_eq!(error, TwoTenants(names[0].into(), names[1].into()));
        }
        assert_eq!(tenant(&["no.example", "A.Example"]), "a");
        assert_eq!(tenant(&["spiffe://X/b"]), "rest");
        assert_eq!(tenant(&[]), "rest");
    }

    #[test]
    fn a_reload_changes_whose_a_name_is_and_takes_it_away() {
        let remotes = Remotes::default();
        remotes.replace(said(None, &[("a.example", "a")]));
        let name = remotes.known_by(["a.example"]).unwrap();
        let told = remotes.told(remote(name));
        assert_eq!(told, "a.example 10.0.0.7");
        remotes.replace(said(None, &[("b.example", "b"), ("a.example", "c")]));
        assert_eq!(remotes.known_by(["a.example"]).unwrap(), name);
        assert_eq!(remotes.tenant(remote(name)).unwrap().as_str(), "c");
        remotes.replace(said(Some("rest"), &[]));
        assert_eq!(remotes.tenant(remote(name)), None);
        assert_eq!(remotes.tenant(remote(None)).unwrap().as_str(), "rest");
    }
}
