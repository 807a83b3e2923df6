//! `[kserve]` as written into the door that is meant by it: what would be open without meaning to be is refused. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use nn_tensor::Tenant;

use super::{ConfigError, file};
use crate::tenancy::RemoteTenants;

/// Names of certificates, and the bytes of one.
const NAMES_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 512;

/// The door of KServe's clients over TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kserve {
    /// Where it is; nowhere unless the operator says so.
    pub listen: Option<SocketAddr>,
    /// Whether it may be open to other machines without TLS.
    pub plaintext: bool,
    /// What it shows, and asks for.
    pub tls: Option<Tls>,
    /// For whom clients act.
    pub(crate) tenants: RemoteTenants,
}

/// Files of PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The daemon's certificate, and behind it those that it was signed by.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Certificates that clients' ones must be signed by; without, clients need none.
    pub clients: Option<PathBuf>,
}

pub(super) fn kserve(written: file::Kserve) -> Result<Kserve, ConfigError> {
    let tls = written.tls.map(|tls| Tls {
        certificate: tls.certificate,
        key: tls.key,
        clients: tls.clients,
    });
    let kserve = Kserve {
        listen: written.listen,
        plaintext: written.plaintext,
        tenants: RemoteTenants {
            others: tenant(written.tenant)?,
            by_name: names(written.tenants)?,
        },
        tls,
    };
    check(&kserve)?;
    Ok(kserve)
}

fn tenant(written: Option<String>) -> Result<Option<Tenant>, ConfigError> {
    let parsed = written.map(|name| name.parse()).transpose();
    parsed.map_err(ConfigError::KserveTenant)
}

fn names(written: BTreeMap<String, String>) -> Result<BTreeMap<String, Tenant>, ConfigError> {
    let many = written.len();
    if many > NAMES_MAX {
        return Err(wrong(
            "kserve.tenants",
            format!("has {many} names"),
            "at most 256",
        ));
    }
    let one = |(name, tenant): (String, String)| {
        // A URI is kept as it is; of hosts' names only small letters are told apart from nothing.
        let name = if name.contains(':') {
            name
        } else {
            name.to_ascii_lowercase()
        };
        let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_name || name.contains('*') {
            return Err(wrong(
                "kserve.tenants",
                format!("names {name:?}"),
                "the name of a host or a URI, whole, as it stands in certificates",
            ));
        }
        let tenant = tenant.parse().map_err(ConfigError::KserveTenant)?;
        Ok((name, tenant))
    };
    written.into_iter().map(one).collect()
}

fn wrong(key: &'static str, got: impl Into<String>, expected: &'static str) -> ConfigError {
    ConfigError::Kserve {
        key,
        got: got.into(),
        expected,
    }
}

fn check(kserve: &Kserve) -> Result<(), ConfigError> {
    let asks = kserve.tls.as_ref().is_some_and(|tls| tls.clients.is_some());
    if !kserve.tenants.by_name.is_empty() && !asks {
        return Err(wrong(
            "kserve.tenants",
            "is given, and nobody shows a certificate",
            "kserve.tls.clients beside it",
        ));
    }
    if kserve.plaintext && kserve.tls.is_some() {
        return Err(wrong(
            "kserve.plaintext",
            "is true, and kserve.tls is given",
            "one of the two",
        ));
    }
    let Some(listen) = kserve.listen else {
        return Ok(());
    };
    if kserve.tls.is_none() && !kserve.plaintext && !listen.ip().is_loopback() {
        return Err(wrong(
            "kserve.listen",
            format!("is {listen}, which other machines may reach, and nothing would be encrypted"),
            "[kserve.tls]; an address of this machine alone, like 127.0.0.1; or kserve.plaintext = true, where the network itself \
             is a wall",
        ));
    }
    if kserve.tenants.others.is_none() && kserve.tenants.by_name.is_empty() {
        return Err(wrong(
            "kserve.listen",
            "is given, and no tenant that its clients act for",
            "kserve.tenant, or kserve.tls.clients and [kserve.tenants]",
        ));
    }
    Ok(())
}

/// Says what of `[kserve]` may not be what is meant.
pub(super) fn warn(kserve: &Kserve) {
    if kserve.listen.is_none() && *kserve != Kserve::default() {
        tracing::warn!(
            "[kserve] says no listen: there is no door over TCP, and the rest of it means nothing"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: &str = "[kserve.tls]\ncertificate = \"c\"\nkey = \"k\"\n";
    const MUTUAL: &str = "[kserve.tls]\ncertificate = \"c\"\nkey = \"k\"\nclients = \"a\"\n";

    fn read(text: &str) -> Result<Kserve, ConfigError> {
        kserve(toml::from_str::<file::File>(text).unwrap().kserve)
    }

    #[test]
    fn what_would_be_open_without_meaning_to_be_is_refused_and_says_what_is_missing() {
        let tenant = "tenant = \"a\"\n";
        for (text, word) in [
            (
                format!("[kserve]\nlisten = \"0.0.0.0:1\"\n{tenant}"),
                "plaintext = true",
            ),
            (
                format!("[kserve]\nlisten = \"[2001:db8::1]:1\"\n{tenant}"),
                "encrypted",
            ),
            (
                "[kserve]\nlisten = \"127.0.0.1:1\"\n".to_owned(),
                "kserve.tenant",
            ),
            (
                format!("[kserve]\nlisten = \"0.0.0.0:1\"\n{TLS}"),
                "kserve.tenant",
            ),
            (
                format!("[kserve]\nplaintext = true\n{TLS}"),
                "one of the two",
            ),
            (
                format!("{TLS}[kserve.tenants]\n\"a.example\" = \"a\"\n"),
                "kserve.tls.clients",
            ),
            (
                format!("{MUTUAL}[kserve.tenants]\n\"*.example\" = \"a\"\n"),
                "whole",
            ),
            (
                format!("{MUTUAL}[kserve.tenants]\n\"a.example\" = \"A B\"\n"),
                "tenant",
            ),
        ] {
            let error = read(&text).unwrap_err();
            let told = format!("{:#}", anyhow::Error::from(error));
            assert!(told.contains(word), "{text}: {told}");
        }
    }

    #[test]
    fn what_is_meant_is_let_through() {
        assert_eq!(read("").unwrap(), Kserve::default());
        let loopback = read("[kserve]\nlisten = \"[::1]:1\"\ntenant = \"a\"\n").unwrap();
        assert!(loopback.tls.is_none());
        let open = "[kserve]\nlisten = \"0.0.0.0:1\"\nplaintext = true\ntenant = \"a\"\n";
        assert!(read(open).is_ok());
        let text = format!(
            "[kserve]\nlisten = \"0.0.0.0:1\"\n{MUTUAL}[kserve.tenants]\n\"A.Example\" = \"a\"\n\"spiffe://X/y\" = \"b\"\n"
        );
        let by_name = read(&text).unwrap().tenants.by_name;
        let names: Vec<&str> = by_name.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.example", "spiffe://X/y"]);
    }
}
