//! What the door over TCP shows of itself and asks of clients: a certificate, a key, and whose certificates clients may
//! have. Read before the jail, and again at SIGHUP.

mod chain;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use nix::fcntl::OFlag;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{
    NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier,
};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use chain::Short;

use crate::config::Tls;

/// A file of certificates: hundreds of them.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What others may do with a file by its mode.
const OTHERS: u32 = 0o007;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read.
    #[error("cannot read kserve.tls.{key} {path}; hint: the daemon's uid must be able to read it")]
    Read {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error(
        "kserve.tls.{key} {path} has no {what}; expected PEM, of at most {FILE_BYTES_MAX} bytes"
    )]
    Unfit {
        key: &'static str,
        path: PathBuf,
        what: &'static str,
        #[source]
        source: Option<pem::Error>,
    },
    /// Both are there, and are not of each other.
    #[error(
        "cannot serve the certificate {certificate} with the key {key}; expected a certificate, those that it was signed by \
         behind it, and its own key"
    )]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
    /// No certificate of a client could ever be good.
    #[error("cannot check clients' certificates by kserve.tls.clients {path}")]
    Clients {
        path: PathBuf,
        #[source]
        source: Box<VerifierBuilderError>,
    },
}

/// What holds now, for connections that begin.
#[derive(Debug)]
pub(crate) struct Certificates(RwLock<Arc<ServerConfig>>);

// === impl Certificates ===

impl Certificates {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        Self(RwLock::new(config))
    }

    /// From now on it is these; connections that there are keep theirs.
    pub(crate) fn replace(&self, config: Arc<ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(super) fn now(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the files.
pub(crate) fn read(tls: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates("certificate", &tls.certificate)?;
    let key = key(&tls.key)?;
    let pair = |source| TlsError::Pair {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(pair)?;
    let builder = match &tls.clients {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let (added, roots) = roots(path)?;
            let checked = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            let checked = checked.build().map_err(|source| TlsError::Clients {
                path: path.clone(),
                source: Box::new(source),
            })?;
            tracing::debug!(added, path = %path.display(), "clients' certificates are checked");
            builder.with_client_cert_verifier(Arc::new(Short(checked)))
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Who was let in once is asked for its certificate again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn roots(path: &Path) -> Result<(usize, RootCertStore), TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates("clients", path)?);
    if added == 0 {
        return Err(unfit("clients", path, "certificate that can be used", None));
    }
    Ok((added, roots))
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = text(key, path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(unfit(key, path, "certificate", None)),
        Err(source) => Err(unfit(key, path, "certificate", Some(source))),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = text("key", path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|source| {
        let what = "private key (PKCS #8, PKCS #1 or SEC 1, not encrypted)";
        unfit("key", path, what, Some(source))
    })
}

fn unfit(
    key: &'static str,
    path: &Path,
    what: &'static str,
    source: Option<pem::Error>,
) -> TlsError {
    TlsError::Unfit {
        key,
        path: path.to_owned(),
        what,
        source,
    }
}

/// As much of a file as it may have. A key that others may read is told.
fn text(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = || {
        // Somebody's pipe would be waited for.
        let nonblock = OFlag::O_NONBLOCK.bits();
        let file = File::options()
            .read(true)
            .custom_flags(nonblock)
            .open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mode = about.permissions().mode();
        if key == "key" && mode & OTHERS != 0 {
            tracing::warn!(
                "every user of this machine may use kserve.tls.key {}",
                path.display()
            );
        }
        let mut text = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(text)
    };
    read().map_err(|source| TlsError::Read {
        key,
        path: path.to_owned(),
        source,
    })
}
