//! Certificates of a test's own: an authority, and what it signs.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Signs certificates.
pub(crate) struct Authority {
    own: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Signed {
    certificate: CertificateDer<'static>,
    behind: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// The files that a configuration names.
pub(crate) struct Files {
    dir: TempDir,
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: String = der
        .chunks(3)
        .flat_map(|three| {
            let mut all = [0; 4];
            all[1..=three.len()].copy_from_slice(three);
            let bits = u32::from_be_bytes(all);
            (0..4).map(move |at| {
                let digit = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap();
                if at > three.len() {
                    '='
                } else {
                    DIGITS[digit].into()
                }
            })
        })
        .collect();
    let lines: Vec<&str> = digits
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let text = lines.join("\n");
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

// === impl Authority ===

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // A name of its own: else what it signs looks as if it had signed itself.
        params
            .distinguished_name
            .push(DnType::CommonName, "the authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self { own, issuer }
    }

    /// A certificate with these names: those with a colon are URIs, others hosts'.
    pub(crate) fn sign(&self, names: &[&str]) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = |name: &&str| {
            let text = (*name).try_into().unwrap();
            if name.contains(':') {
                SanType::URI(text)
            } else {
                SanType::DnsName(text)
            }
        };
        params.subject_alt_names = names.iter().map(name).collect();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Signed {
            certificate: certificate.der().clone(),
            behind: Vec::new(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    /// The same, with so many certificates behind it that say nothing.
    pub(crate) fn sign_longer(&self, names: &[&str], behind: usize) -> Signed {
        let mut signed = self.sign(names);
        signed.behind = vec![self.own.clone(); behind];
        signed
    }

    /// What a client needs that trusts this one, and shows a certificate or none.
    pub(crate) fn trusted_by(&self, client: Option<Signed>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match client {
            None => builder.with_no_client_auth(),
            Some(Signed {
                certificate,
                behind,
                key,
            }) => builder
                .with_client_auth_cert([vec![certificate], behind].concat(), key)
                .unwrap(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

// === impl Files ===

impl Files {
    /// Those of a door whose certificate `authority` signs.
    pub(crate) fn of(authority: &Authority) -> Self {
        let dir = TempDir::new().unwrap();
        let files = Self { dir };
        files.replace(authority);
        files
    }

    /// Others in their place.
    pub(crate) fn replace(&self, authority: &Authority) {
        self.write(&authority.sign(&["localhost"]), "server");
        fs::write(
            self.path("authority.pem"),
            pem("CERTIFICATE", &authority.own),
        )
        .unwrap();
    }

    /// Writes a certificate NAME.pem and its key NAME.key.
    pub(crate) fn write(&self, signed: &Signed, name: &str) {
        let certificate = pem("CERTIFICATE", &signed.certificate);
        fs::write(self.path(&format!("{name}.pem")), certificate).unwrap();
        let key = pem("PRIVATE KEY", signed.key.secret_der());
        fs::write(self.path(&format!("{name}.key")), key).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `[kserve]` for a door with TLS, and what `more` adds to it.
    pub(crate) fn section(&self, more: &str, asks: bool) -> String {
        let clients = asks.then(|| format!("clients = {:?}\n", self.path("authority.pem")));
        format!(
            "[kserve]\nlisten = \"127.0.0.1:0\"\n{more}\n[kserve.tls]\ncertificate = {:?}\nkey = {:?}\n{}",
            self.path("server.pem"),
            self.path("server.key"),
            clients.unwrap_or_default(),
        )
    }
}
