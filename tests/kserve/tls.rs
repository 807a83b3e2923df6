//! TLS over TCP: who shows no certificate, or one of another authority, is not let in; a name of one that is says whose
//! tenant its client acts for.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hyper_util::rt::TokioIo;
use nn_proto::kserve::inference::{RepositoryModelUnloadRequest, ServerLiveRequest};
use nn_tests::{Daemon, require_backends, wait_until};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::certificates::{Authority, Files};
use crate::client::{Service, only, service};
use crate::tcp::{daemon, request, sessions};
use crate::{SOON, said};

/// What is given to tenants where clients show certificates.
const NAMES: &str =
    "[kserve.tenants]\n\"client.example\" = \"vision\"\n\"spiffe://example/audio\" = \"audio\"\n";

/// A client by TLS; fails where it is not let in.
async fn connect(address: &str, config: Arc<ClientConfig>) -> Result<Service, Status> {
    let address = address.to_owned();
    let connector = tower::service_fn(move |_| {
        let (address, connector) = (address.clone(), TlsConnector::from(Arc::clone(&config)));
        async move {
            let stream = tokio::net::TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").unwrap();
            let stream = connector.connect(name, stream).await?;
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connector).await;
    let channel = channel.map_err(|error| Status::from_error(Box::new(error)))?;
    let mut client = service(channel);
    // What the server thinks of a certificate comes after the client has thought that all is well.
    client.server_live(ServerLiveRequest {}).await?;
    Ok(client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_of_a_certificate_says_for_whom_its_client_acts() {
    require_backends!();
    let authority = Authority::new();
    let files = Files::of(&authority);
    let (daemon, address) = daemon(&(files.section("", true) + NAMES), "");
    for (names, tenant) in [
        (&["other.example", "client.example"][..], "vision"),
        (&["spiffe://example/audio"], "audio"),
    ] {
        let config = authority.trusted_by(Some(authority.sign(names)));
        let mut client = connect(&address, config).await.unwrap();
        let answer = client.model_infer(request()).await.unwrap().into_inner();
        assert_eq!(only(&answer), [1, 2, 3]);
        let known = names.last().unwrap();
        let told = format!("{known} 127.0.0.1");
        let all = sessions(&daemon);
        assert!(
            all.contains(&(tenant.into(), u32::MAX.into(), told)),
            "{all:?}"
        );
        let unload = client.repository_model_unload(RepositoryModelUnloadRequest {
            model_name: "identity-u8".into(),
            ..RepositoryModelUnloadRequest::default()
        });
        let status = unload.await.unwrap_err();
        said(&status, Code::PermissionDenied, &["admin-denied"]);
    }
    // Let in, and nobody's: no tenant is said for others.
    let config = authority.trusted_by(Some(authority.sign(&["other.example"])));
    let mut client = connect(&address, config).await.unwrap();
    let status = client.model_infer(request()).await.unwrap_err();
    said(
        &status,
        Code::PermissionDenied,
        &["kserve.tenants", "tenant-denied"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_certificate_or_a_strangers_is_not_let_in() {
    require_backends!();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = Files::of(&authority);
    let (_daemon, address) = daemon(&files.section("tenant = \"vision\"", true), "");
    let own = || authority.sign(&["client.example"]);
    assert!(connect(&address, authority.trusted_by(None)).await.is_err());
    let wrong = stranger.sign(&["client.example"]);
    assert!(
        connect(&address, authority.trusted_by(Some(wrong)))
            .await
            .is_err()
    );
    // Nor does a client let itself in with whom it does not trust.
    assert!(
        connect(&address, stranger.trusted_by(Some(own())))
            .await
            .is_err()
    );
    let plain = Endpoint::new(format!("http://{address}")).unwrap();
    if let Ok(channel) = plain.connect().await {
        assert!(
            service(channel)
                .server_live(ServerLiveRequest {})
                .await
                .is_err()
        );
    }
    let mut client = connect(&address, authority.trusted_by(Some(own())))
        .await
        .unwrap();
    client.model_infer(request()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_authority_for_clients_none_is_asked_for() {
    require_backends!();
    let authority = Authority::new();
    let files = Files::of(&authority);
    let (daemon, address) = daemon(&files.section("tenant = \"vision\"", false), "");
    let mut client = connect(&address, authority.trusted_by(None)).await.unwrap();
    client.model_infer(request()).await.unwrap();
    assert_eq!(sessions(&daemon)[0].0, "vision");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_does_not_go_on_ends_and_others_are_let_in_meanwhile() {
    require_backends!();
    let authority = Authority::new();
    let files = Files::of(&authority);
    let (_daemon, address) = daemon(&files.section("tenant = \"vision\"", false), "");
    let began = Instant::now();
    let slow: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            // The head of a record whose rest never comes.
            stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
            stream
        })
        .collect();
    let mut client = connect(&address, authority.trusted_by(None)).await.unwrap();
    client.model_infer(request()).await.unwrap();
    for mut stream in slow {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    client.model_infer(request()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_lie_there_hold_no_place_that_others_need() {
    require_backends!();
    let authority = Authority::new();
    let files = Files::of(&authority);
    let (_daemon, address) = daemon(&files.section("tenant = \"vision\"", true), "");
    let mut lying: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(&address).unwrap())
        .collect();
    let own = authority.sign(&["client.example"]);
    let mut client = connect(&address, authority.trusted_by(Some(own)))
        .await
        .unwrap();
    client.model_infer(request()).await.unwrap();
    // It has not waited for the time that they have: the newest is still there, and the oldest has given way.
    let newest = lying.last_mut().unwrap();
    newest.set_nonblocking(true).unwrap();
    let still = newest.read(&mut [0]).unwrap_err();
    assert_eq!(still.kind(), std::io::ErrorKind::WouldBlock);
    lying[0].set_read_timeout(Some(SOON)).unwrap();
    let _ = lying[0].read_to_end(&mut Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_is_longer_than_any_is_not_looked_at() {
    require_backends!();
    let authority = Authority::new();
    let files = Files::of(&authority);
    let (daemon, address) = daemon(&files.section("tenant = \"vision\"", true), "");
    let with = |behind| {
        let signed = authority.sign_longer(&["client.example"], behind);
        authority.trusted_by(Some(signed))
    };
    assert!(connect(&address, with(4)).await.is_ok());
    assert!(connect(&address, with(5)).await.is_err());
    let log = daemon.log();
    assert!(log.contains("5 certificates behind its own"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_with_names_of_two_tenants_is_let_in_for_neither() {
    require_backends!();
    let authority = Authority::new();
    let files = Files::of(&authority);
    let (daemon, address) = daemon(&(files.section("", true) + NAMES), "");
    let both = authority.sign(&["client.example", "spiffe://example/audio"]);
    let refused = connect(&address, authority.trusted_by(Some(both))).await;
    assert!(refused.is_err());
    let log = daemon.log();
    assert!(log.contains("gives to two tenants"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_read_again_and_wrong_ones_change_nothing() {
    require_backends!();
    let (first, second) = (Authority::new(), Authority::new());
    let files = Files::of(&first);
    let (daemon, address) = daemon(&files.section("tenant = \"vision\"", true), "");
    let trusted = |authority: &Authority| {
        let own = authority.sign(&["client.example"]);
        authority.trusted_by(Some(own))
    };
    let mut open = connect(&address, trusted(&first)).await.unwrap();
    let said = |log: &str| log.matches("KServe is served over TLS").count();
    let reload = |word: &str| {
        daemon.reconfigure("[kserve]", "[kserve]");
        tokio::task::block_in_place(|| {
            wait_until("the files are read", SOON, || daemon.log().contains(word));
        });
    };
    fs::write(files.path("server.pem"), "nothing").unwrap();
    reload("stays as it was: kserve.tls.certificate");
    assert!(connect(&address, trusted(&first)).await.is_ok());
    files.replace(&second);
    reload("configuration reloaded");
    assert!(connect(&address, trusted(&second)).await.is_ok());
    assert!(connect(&address, trusted(&first)).await.is_err());
    assert_eq!(said(&daemon.log()), 2);
    open.server_live(ServerLiveRequest {}).await.unwrap();
}

#[test]
fn files_that_do_not_fit_are_told_at_the_start() {
    let authority = Authority::new();
    let files = Files::of(&authority);
    let ended = |word: &str| {
        let section = files.section("tenant = \"a\"", true);
        let (status, log) = Daemon::builder().with_sections(&section).start_and_end();
        assert_eq!(status, Some(1));
        assert!(log.contains(word), "{word}: {log}");
    };
    files.write(&authority.sign(&["localhost"]), "other");
    fs::copy(files.path("other.key"), files.path("server.key")).unwrap();
    ended("cannot serve the certificate");
    fs::write(files.path("server.key"), "nothing").unwrap();
    ended("private key");
    fs::remove_file(files.path("server.key")).unwrap();
    ended("cannot read kserve.tls.key");
    fs::create_dir(files.path("server.key")).unwrap();
    ended("it is no file");
}

/// As many as one thread can shake hands with, and no end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_flood_leave_room_for_who_infers() {
    require_backends!();
    let authority = Authority::new();
    let files = Files::of(&authority);
    let (daemon, address) = daemon(&files.section("tenant = \"vision\"", true), "");
    let mut client = connect(
        &address,
        authority.trusted_by(Some(authority.sign(&["client.example"]))),
    )
    .await
    .unwrap();
    let (nobody, knocks) = (authority.trusted_by(None), Arc::new(AtomicUsize::new(0)));
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let (address, nobody) = (address.clone(), Arc::clone(&nobody));
            let knocks = Arc::clone(&knocks);
            tokio::spawn(async move {
                loop {
                    assert!(connect(&address, Arc::clone(&nobody)).await.is_err());
                    knocks.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let (began, mut inferred) = (Instant::now(), 0);
    while inferred < 200 || knocks.load(Ordering::Relaxed) < 100 {
        assert!(
            began.elapsed() < SOON,
            "{inferred} inferred, {knocks:?} knocks"
        );
        client.model_infer(request()).await.unwrap();
        inferred += 1;
    }
    for flood in floods {
        flood.abort();
    }
    assert_eq!(sessions(&daemon).len(), 1);
}
