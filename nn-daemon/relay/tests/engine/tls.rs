//! Engines with certificates: the right one, and others.

use std::rc::Rc;
use std::sync::Arc;

use nn_relay::engine::failed::Failed;
use nn_relay::engine::tls::provider;
use nn_tensor::Reason;
use nn_worker_wire::{Remote, RemoteTls};
use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::engines::{Act, Engine, Shared};
use crate::rig::{SOON, call, local, open, remote};

/// `certificates/make.sh` makes them.
const OURS: &[u8] = include_bytes!("certificates/ours.pem");
const THEIRS: &[u8] = include_bytes!("certificates/theirs.pem");
const ENGINE: &[u8] = include_bytes!("certificates/engine.pem");
const ADDRESS: &[u8] = include_bytes!("certificates/address.pem");
const OTHER_NAME: &[u8] = include_bytes!("certificates/other-name.pem");
const OTHER_AUTHORITY: &[u8] = include_bytes!("certificates/other-authority.pem");
const EXPIRED: &[u8] = include_bytes!("certificates/expired.pem");
const CLIENT: &[u8] = include_bytes!("certificates/client.pem");
const KEY: &[u8] = include_bytes!("certificates/key.pem");

/// An engine behind TLS; whom it believes, if it asks.
async fn serve(
    certificate: &[u8],
    clients: Option<&[u8]>,
    protocol: &[u8],
) -> (String, Rc<Shared>) {
    let certificates = |pem| CertificateDer::pem_slice_iter(pem).map(Result::unwrap);
    let chain = certificates(certificate).collect();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(authority));
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shared = Shared::new(|_, _| Act::Right);
    let serving = Rc::clone(&shared);
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                serving.spawn(stream);
            }
        }
    });
    (address, shared)
}

fn over(address: &str, name: Option<&str>) -> Remote {
    Remote {
        tls: Some(RemoteTls {
            ca_pem: OURS.to_vec(),
            client_pem: None,
            server_name: name.map(str::to_owned),
        }),
        ..remote(&[address])
    }
}

async fn refused(remote: Remote) -> Failed {
    open(remote).await.unwrap_err()
}

#[test]
fn an_engine_with_the_right_certificate_is_believed() {
    local(async {
        let (address, shared) = serve(ENGINE, None, b"h2").await;
        let engine = open(over(&address, Some("engine.example"))).await.unwrap();
        assert_eq!(call(&engine, &[1.0, 2.0], SOON).await, Ok(vec![2.0, 3.0]));
        assert_eq!(shared.infers(), 1);
        // Without a name of its own, that of the endpoint.
        let (address, _) = serve(ADDRESS, None, b"h2").await;
        let engine = open(over(&address, None)).await.unwrap();
        assert_eq!(call(&engine, &[1.0, 2.0], SOON).await, Ok(vec![2.0, 3.0]));
    });
}

#[test]
fn other_certificates_are_not_believed_and_nothing_is_sent() {
    local(async {
        let name = Some("engine.example");
        for (what, certificate, name) in [
            ("authority", OTHER_AUTHORITY, name),
            ("name", OTHER_NAME, name),
            ("no name", ENGINE, None),
            ("time", EXPIRED, name),
        ] {
            let (address, shared) = serve(certificate, None, b"h2").await;
            let failed = refused(over(&address, name)).await;
            assert_eq!(failed.reason, Reason::RemoteTls, "{what}: {failed:?}");
            let said = !failed.sent && failed.expected.contains("authority");
            assert!(said, "{what}: {failed:?}");
            assert_eq!(shared.infers(), 0);
        }
    });
}

#[test]
fn an_engine_without_tls_is_told_nothing() {
    local(async {
        let plain = Engine::start(|_, _| Act::Right).await;
        let failed = refused(over(&plain.address, None)).await;
        assert_eq!((failed.reason, failed.sent), (Reason::RemoteTls, false));
        assert!(plain.heads().is_empty());
    });
}

#[test]
fn an_engine_that_speaks_no_http2_is_refused() {
    local(async {
        let (address, _) = serve(ENGINE, None, b"http/1.1").await;
        let failed = refused(over(&address, Some("engine.example"))).await;
        assert_eq!(failed.reason, Reason::RemoteTls, "{failed:?}");
    });
}

#[test]
fn an_engine_that_asks_who_is_there_is_told() {
    local(async {
        let (address, _) = serve(ENGINE, Some(THEIRS), b"h2").await;
        let mut remote = over(&address, Some("engine.example"));
        // Over TLS 1.3 the client learns of it after its own part is done.
        let failed = refused(remote.clone()).await;
        assert!(!failed.sent, "{failed:?}");
        if let Some(tls) = &mut remote.tls {
            tls.client_pem = Some((CLIENT.to_vec(), KEY.to_vec()));
        }
        let engine = open(remote).await.unwrap();
        assert_eq!(call(&engine, &[1.0, 2.0], SOON).await, Ok(vec![2.0, 3.0]));
    });
}

#[test]
fn what_is_no_certificate_is_said_before_anything_is_dialed() {
    local(async {
        let plain = Engine::start(|_, _| Act::Right).await;
        let mut remote = over(&plain.address, None);
        let none = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in [b"".as_slice(), none] {
            if let Some(tls) = &mut remote.tls {
                tls.ca_pem = pem.to_vec();
            }
            let failed = refused(remote.clone()).await;
            assert_eq!(failed.reason, Reason::RemoteTls, "{failed:?}");
            assert!(failed.expected.contains("kserve.tls.ca"));
        }
        assert_eq!(plain.connections(), 0);
    });
}
