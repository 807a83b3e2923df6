//! Whom a relay believes: the authorities that the operator named, and no others. The engine's certificate must have the
//! endpoint's name, and HTTP/2 must be what it speaks.

use std::fmt::Display;
use std::io;
use std::sync::Arc;

use nn_tensor::Reason;
use nn_worker_wire::{Endpoint, RemoteTls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::failed::Failed;

/// HTTP/2, as TLS names it.
const H2: &[u8] = b"h2";

/// How connections of one model are protected.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// For every endpoint; `None`: its host.
    name: Option<ServerName<'static>>,
}

/// The one provider of cryptography.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn wrong(what: &str, error: &dyn Display) -> Failed {
    let failed = Failed::unsent(Reason::RemoteTls, &format!("{what}: {error}"));
    failed.expected(format!("{what} in PEM"))
}

// === impl Tls ===

impl Tls {
    /// As it was said.
    pub fn new(said: &RemoteTls) -> Result<Self, Failed> {
        let mut roots = RootCertStore::empty();
        let authorities = certificates("kserve.tls.ca", &said.ca_pem)?;
        // Among a machine's authorities there may be some that are not understood.
        let (known, unknown) = roots.add_parsable_certificates(authorities);
        if known == 0 {
            let what = format!("{unknown} that are no certificates of authorities");
            return Err(wrong("kserve.tls.ca", &what));
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("TLS", &error))?
            .with_root_certificates(roots);
        let mut config = match &said.client_pem {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates("kserve.tls.certificate", certificate)?;
                let key = PrivateKeyDer::from_pem_slice(key);
                // What is wrong with a key is not told: it may have parts of it.
                let key = key.map_err(|_| wrong("kserve.tls.key", &"no key"))?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|error| wrong("kserve.tls.certificate", &error))?
            }
        };
        config.alpn_protocols = vec![H2.to_vec()];
        let name = said.server_name.as_deref().map(server_name).transpose()?;
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }

    /// Agrees with an engine, over a connection to this endpoint.
    pub async fn connect<S>(&self, endpoint: &str, stream: S) -> Result<TlsStream<S>, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                let endpoint = Endpoint::parse(endpoint);
                let endpoint = endpoint.map_err(|error| wrong("the endpoint's name", &error))?;
                server_name(endpoint.host())?
            }
        };
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| refused(&error))?;
        if stream.get_ref().1.alpn_protocol() == Some(H2) {
            return Ok(stream);
        }
        let failed = Failed::unsent(Reason::RemoteTls, "no h2 among its protocols (ALPN)");
        Err(failed.expected("an endpoint that speaks HTTP/2 over TLS"))
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, Failed> {
    let name = ServerName::try_from(name.to_owned());
    name.map_err(|error| wrong("kserve.tls.name", &error))
}

fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Failed> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| wrong(what, &error))?;
    if all.is_empty() {
        return Err(wrong(what, &"no certificate"));
    }
    Ok(all)
}

/// An error of TLS itself, or of the connection below it.
fn refused(error: &io::Error) -> Failed {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => {
            let failed = Failed::unsent(Reason::RemoteTls, &format!("{why:?}"));
            failed
                .expected("a certificate of an authority in kserve.tls.ca, in its time, for the endpoint's name")
                .got("another one")
        }
        Some(error) => {
            let failed = Failed::unsent(Reason::RemoteTls, &error.to_string());
            failed.expected("an endpoint that agrees on TLS")
        }
        None => Failed::unsent(Reason::RemoteUnreachable, &error.to_string())
            .expected("an endpoint that agrees on TLS")
            .got("the end of the connection"),
    }
}
