//! What one relay is told: its model's `[kserve]`, held against the endpoints that the configuration allows, with the secrets
//! that it names. They are read anew for each relay, so that one that is replaced on disk is used by the next.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use nn_catalogue::{KServe, KServeTls};
use nn_shm::{Blob, BlobDraft, ShmError};
use nn_tensor::{Fault, Reason};
use nn_worker_wire::{BreakerRule, HEADERS_BYTES_MAX, Remote, RemoteTls};

use super::{Authorities, Remotes};
use crate::limits::Limits;
use crate::model::Model;
use crate::telemetry::log_id;

/// The largest file of certificates or a key.
const PEM_BYTES_MAX: u64 = 512 * 1024;

/// What a relay is told, written down.
pub(crate) struct Asked(Vec<u8>);

// === impl Asked ===

impl Asked {
    /// In sealed memory.
    pub(crate) fn to_blob(&self) -> Result<Blob, ShmError> {
        let bytes = u64::try_from(self.0.len()).unwrap_or(u64::MAX);
        let mut draft = BlobDraft::new(bytes)?;
        // Into memory: what does not fit there fails the seal.
        let _ = draft.write_all(&self.0);
        draft.seal()
    }
}

impl Remotes {
    /// Fails where a model names an endpoint that the configuration does not.
    pub(crate) fn allows(&self, kserve: &KServe) -> Result<(), Fault> {
        let mut named = kserve.endpoints.iter();
        let other = named.find(|endpoint| !self.endpoints.contains(endpoint));
        other.map_or(Ok(()), |other| {
            Err(Fault::of(Reason::PlacementOff)
                .expected(format!("one of {}", told(&self.endpoints)))
                .got(other.clone()))
        })
    }

    /// What a model's relay is told.
    pub(crate) async fn asked(&self, model: &Model, limits: &Limits) -> Result<Asked, Fault> {
        let kserve = model.kserve()?.clone();
        let allowed = self.allows(&kserve);
        allowed.map_err(|fault| without_addresses(model, &fault))?;
        let compute_ms = model.compute_max(limits).as_millis();
        let compute_ms = u32::try_from(compute_ms).unwrap_or(u32::MAX);
        let name = model.name.as_str().to_owned();
        let (secrets, authorities) = (self.secrets.clone(), self.authorities.clone());
        let read = tokio::task::spawn_blocking(move || {
            let told = (name, compute_ms);
            let remote = remote(kserve, told, secrets.as_deref(), authorities)?;
            let written = remote.to_bytes();
            written
                .map(Asked)
                .map_err(|error| Fault::of(Reason::PlacementSecret).got(error.to_string()))
        });
        let interrupted = |_| Fault::of(Reason::PlacementSecret).got("a read that was interrupted");
        read.await.map_err(interrupted)?
    }
}

fn told(endpoints: &[String]) -> String {
    const TOLD_MAX: usize = 512;
    let all = endpoints.join(", ");
    all.chars().take(TOLD_MAX).collect()
}

/// Whoever calls the model reads no addresses: those are for the log.
fn without_addresses(model: &Model, fault: &Fault) -> Fault {
    let log_id = log_id();
    tracing::warn!(log_id, model = %model.id(), "its endpoints cannot be asked: {fault}");
    Fault::of(Reason::PlacementOff)
        .expected("endpoints of the daemon's [remote] endpoints")
        .got("another")
        .log_id(log_id)
}

fn remote(
    kserve: KServe,
    (name, compute_ms): (String, u32),
    secrets: Option<&Path>,
    authorities: Authorities,
) -> Result<Remote, Fault> {
    let tls = kserve.tls.map(|tls| protected(tls, secrets, authorities));
    let auth = kserve.auth.map(|auth| -> Result<(String, String), Fault> {
        let most = u64::try_from(HEADERS_BYTES_MAX).unwrap_or(u64::MAX);
        let value = String::from_utf8(read(secrets, &auth.file, most)?);
        let value = value.ok().map(|value| value.trim().to_owned());
        let plain = |value: &String| {
            !value.is_empty() && value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        };
        let value = value.filter(plain).ok_or_else(|| {
            Fault::of(Reason::PlacementSecret)
                .message("the value of kserve.auth is none that a header can have")
                .expected("one line of ASCII text")
        })?;
        Ok((auth.header, value))
    });
    Ok(Remote {
        tls: tls.transpose()?,
        headers: auth.transpose()?.into_iter().collect(),
        model: if kserve.model.is_empty() {
            name
        } else {
            kserve.model
        },
        version: kserve.version,
        endpoints: kserve.endpoints,
        connect_ms: kserve.connect_ms,
        compute_ms,
        in_flight_max: kserve.in_flight_max,
        message_bytes_max: kserve.message_bytes_max,
        breaker: BreakerRule {
            failures: kserve.failures,
            open_ms: kserve.open_ms,
        },
    })
}

fn protected(
    tls: KServeTls,
    secrets: Option<&Path>,
    authorities: Authorities,
) -> Result<RemoteTls, Fault> {
    let pem = |file: &str| read(secrets, file, PEM_BYTES_MAX);
    let ca_pem = match &*tls.ca {
        "" if authorities.0.is_empty() => {
            return Err(Fault::of(Reason::PlacementSecret)
                .message("this machine has no list of certificate authorities")
                .hint("name the engine's own by kserve.tls.ca"));
        }
        "" => authorities.0,
        file => pem(file)?,
    };
    let client_pem = match (&*tls.certificate, &*tls.key) {
        ("", _) | (_, "") => None,
        (certificate, key) => Some((pem(certificate)?, pem(key)?)),
    };
    Ok(RemoteTls {
        ca_pem,
        client_pem,
        server_name: Some(tls.name).filter(|name| !name.is_empty()),
    })
}

/// A file of the directory of secrets. What a client may read of a failure names the file, as its operator has, and no path.
fn read(secrets: Option<&Path>, name: &str, most: u64) -> Result<Vec<u8>, Fault> {
    let refused = || Fault::of(Reason::PlacementSecret).got(name.to_owned());
    let Some(folder) = secrets else {
        return Err(refused()
            .message("the daemon has no directory of secrets")
            .hint("[remote] secrets = \"DIR\" in the daemon's configuration"));
    };
    let unreadable = |why: String| {
        let log_id = log_id();
        tracing::error!(log_id, folder = %folder.display(), name, "a secret cannot be read: {why}");
        refused().log_id(log_id)
    };
    let file = nn_catalogue::open_beneath(folder, &folder.join(name));
    let file: File = file.map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(error.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(refused().expected(format!("a file of at most {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nn_catalogue::Manifest;

    use super::*;

    fn kserve(more: &str) -> KServe {
        let text = format!("[kserve]\nendpoints = [\"a:1\"]\n{more}");
        let manifest = Manifest::parse(&text, |name| Err(Fault::not_found(name))).unwrap();
        manifest.kserve.unwrap()
    }

    fn told_of(more: &str, secrets: Option<&Path>) -> Result<Remote, Fault> {
        remote(
            kserve(more),
            ("foo".to_owned(), 60_000),
            secrets,
            Authorities::default(),
        )
    }

    #[test]
    fn a_relay_is_told_of_the_models_own_name_unless_another_is_said() {
        assert_eq!(told_of("", None).unwrap().model, "foo");
        assert_eq!(told_of("model = \"far\"", None).unwrap().model, "far");
    }

    #[test]
    fn secrets_come_from_their_directory_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "Bearer x\n").unwrap();
        let auth = "[kserve.auth]\nheader = \"authorization\"\nfile = \"token\"\nplaintext = true";
        let told = told_of(auth, Some(folder.path())).unwrap();
        let header = ("authorization".to_owned(), "Bearer x".to_owned());
        assert_eq!(told.headers, [header]);
        let without = told_of(auth, None).unwrap_err();
        assert!(without.hint.contains("[remote] secrets"), "{without}");
        fs::remove_file(folder.path().join("token")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("token")).unwrap();
        let fault = told_of(auth, Some(folder.path())).unwrap_err();
        assert_eq!(fault.reason, Some(Reason::PlacementSecret));
        assert!(!fault.to_string().contains("/etc"), "{fault}");
    }

    #[test]
    fn a_value_of_several_lines_is_no_header() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "a\nb: c").unwrap();
        let auth = "[kserve.auth]\nheader = \"authorization\"\nfile = \"token\"\nplaintext = true";
        assert!(told_of(auth, Some(folder.path())).is_err());
    }

    #[test]
    fn a_machine_without_authorities_has_them_named() {
        let fault = told_of("[kserve.tls]\nname = \"engine\"", None).unwrap_err();
        assert!(fault.hint.contains("kserve.tls.ca"), "{fault}");
    }
}
