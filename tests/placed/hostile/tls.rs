//! Engines with certificates: the right one, with a client's own and a token along, and all others. Nothing is said to who
//! is not believed.

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use h2::server::{SendResponse, handshake};
use http::{HeaderMap, HeaderValue, Request, Response};
use nn_proto::kserve::inference as oip;
use nn_tensor::Reason;
use nn_tests::{Daemon, require_backends, tiny_model, until};
use prost::Message as _;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::frames::{grpc, metadata, sum};
use super::{Beside, PATIENT, SHORT, SLACK, manifest, refused};
use crate::{SOON, add, place};

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!(
            "../../../nn-daemon/relay/tests/engine/certificates/",
            $name,
            ".pem"
        ))
    };
}

/// Whom relays are told to believe, and whom engines do.
const OURS: &[u8] = pem!("ours");
const THEIRS: &[u8] = pem!("theirs");
const ENGINE: &[u8] = pem!("engine");
const OTHER_NAME: &[u8] = pem!("other-name");
const OTHER_AUTHORITY: &[u8] = pem!("other-authority");
const EXPIRED: &[u8] = pem!("expired");
const CLIENT: &[u8] = pem!("client");
const KEY: &[u8] = pem!("key");

const TOKEN: &str = "Bearer t0ken";

/// What a model says of it. The breaker is quick.
const CONFIG: &str = "connect_ms = 1000\n[kserve.breaker]\nfailures = 1\nopen_ms = 300\n\
                      [kserve.tls]\nca = \"ours.pem\"\nname = \"engine.example\"\n";

const KNOWN: &str = "certificate = \"client.pem\"\nkey = \"client.key\"\n\
                     [kserve.auth]\nheader = \"authorization\"\nfile = \"token\"\n";

/// What whoever connects finds.
#[derive(Clone, Copy)]
enum Door {
    /// No TLS at all.
    Plain,
    Tls {
        certificate: &'static [u8],
        asks: bool,
        protocol: &'static [u8],
    },
}

/// An engine behind a door.
struct Guarded {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    door: Mutex<Door>,
    /// Of every call that came.
    heads: Mutex<Vec<HeaderMap>>,
    /// Connections of an earlier number end.
    cut: watch::Sender<u64>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn door(certificate: &'static [u8]) -> Door {
    Door::Tls {
        certificate,
        asks: true,
        protocol: b"h2",
    }
}

fn acceptor(certificate: &[u8], asks: bool, protocol: &[u8]) -> TlsAcceptor {
    let certificates = |pem| CertificateDer::pem_slice_iter(pem).map(Result::unwrap);
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(THEIRS));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let chain = certificates(certificate).collect();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

// === impl Guarded ===

impl Guarded {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            door: Mutex::new(door(ENGINE)),
            heads: Mutex::default(),
            cut: watch::channel(0).0,
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                let mut cut = shared.cut.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        () = shared.open(stream) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// Another door, in front of whoever comes from now on.
    fn set(&self, door: Door) {
        *lock(&self.shared.door) = door;
        self.shared.cut.send_modify(|number| *number += 1);
    }

    /// The calls since this was asked last.
    fn heads(&self) -> Vec<HeaderMap> {
        std::mem::take(&mut *lock(&self.shared.heads))
    }
}

// === impl Shared ===

impl Shared {
    async fn open(&self, stream: tokio::net::TcpStream) {
        let door = *lock(&self.door);
        match door {
            Door::Plain => self.serve(stream).await,
            Door::Tls {
                certificate,
                asks,
                protocol,
            } => {
                let accepted = acceptor(certificate, asks, protocol).accept(stream).await;
                if let Ok(stream) = accepted {
                    self.serve(stream).await;
                }
            }
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) {
        let Ok(mut connection) = handshake(stream).await else {
            return;
        };
        while let Some(Ok((request, respond))) = connection.accept().await {
            lock(&self.heads).push(request.headers().clone());
            // The connection is driven while it is waited for: a task of its own takes the request.
            tokio::spawn(answer(request, respond));
        }
    }
}

/// What is right.
async fn answer(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, mut body) = request.into_parts();
    let mut asked = BytesMut::new();
    while let Some(piece) = body.data().await {
        asked.extend_from_slice(&piece.unwrap());
    }
    let said = match head.uri.path().rsplit('/').next().unwrap() {
        "ModelReady" => oip::ModelReadyResponse { ready: true }.encode_to_vec(),
        "ModelMetadata" => metadata().encode_to_vec(),
        _ => sum(&asked[5..]).encode_to_vec(),
    };
    let kind = HeaderValue::from_static("application/grpc");
    let answer = Response::builder().header("content-type", kind);
    let mut stream = respond
        .send_response(answer.body(()).unwrap(), false)
        .unwrap();
    stream.send_data(grpc(&said).into(), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers).unwrap();
}

/// The files that a model.toml may name.
fn secrets() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in [
        ("ours.pem", OURS),
        ("client.pem", CLIENT),
        ("client.key", KEY),
        ("token", TOKEN.as_bytes()),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn daemon(engine: &Guarded, secrets: &TempDir) -> Daemon {
    let (address, secrets) = (&engine.address, secrets.path());
    let sections = format!("\n[remote]\nendpoints = [{address:?}]\nsecrets = {secrets:?}\n");
    Daemon::builder().with_sections(&sections).start()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_believed_is_shown_a_certificate_and_a_token() {
    require_backends!();
    let (engine, secrets) = (Guarded::start().await, secrets());
    let daemon = daemon(&engine, &secrets);
    let manifest = manifest(&engine.address, &format!("{CONFIG}{KNOWN}"));
    block_in_place(|| place(&daemon, "far", &manifest));
    let answer = add(&daemon.client(), "far", (&[1.0], &[2.0]), Some(PATIENT)).await;
    assert_eq!(answer.unwrap(), [3.0]);
    let heads = engine.heads();
    assert_eq!(heads.len(), 3, "ready, metadata, infer");
    assert!(heads.iter().all(|head| head["authorization"] == TOKEN));
    // What is secret stands nowhere where somebody looks.
    let told = daemon.json(&["describe", "far"]).to_string();
    let state = files(&daemon.state_dir());
    for place in [told, daemon.log(), state] {
        assert!(!place.contains("t0ken") && !place.contains("PRIVATE KEY"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_gone_is_said_by_its_name_alone() {
    require_backends!();
    let (engine, secrets) = (Guarded::start().await, secrets());
    let daemon = daemon(&engine, &secrets);
    fs::remove_file(secrets.path().join("token")).unwrap();
    let text = manifest(&engine.address, &format!("{CONFIG}{KNOWN}"));
    let refused = block_in_place(|| refused(&daemon, &text));
    let folder = secrets.path().to_str().unwrap();
    assert!(refused.contains(Reason::PlacementSecret.id()), "{refused}");
    assert!(
        refused.contains("token") && !refused.contains(folder),
        "{refused}"
    );
    assert!(engine.heads().is_empty());
    // It is read anew: whoever puts it there need not start anything.
    fs::write(secrets.path().join("token"), TOKEN).unwrap();
    block_in_place(|| place(&daemon, "far", &text));
}

/// All that lies below a directory, as far as it is text.
fn files(folder: &std::path::Path) -> String {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| {
        if path.is_dir() {
            return files(&path);
        }
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    });
    texts.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_not_believed_is_told_nothing() {
    require_backends!();
    let (engine, secrets) = (Guarded::start().await, secrets());
    let daemon = daemon(&engine, &secrets);
    daemon.load("here", &tiny_model("add-f32"));
    let beside = Beside::start(daemon.client());
    let known = format!("{CONFIG}{KNOWN}");
    let nameless = known.replace("name = \"engine.example\"\n", "");
    let other = Door::Tls {
        certificate: ENGINE,
        asks: true,
        protocol: b"http/1.1",
    };
    for (what, door, more) in [
        ("another authority", door(OTHER_AUTHORITY), &known),
        ("another name", door(OTHER_NAME), &known),
        ("out of its time", door(EXPIRED), &known),
        ("not for the endpoint's own name", door(ENGINE), &nameless),
        ("no TLS", Door::Plain, &known),
        ("no HTTP/2", other, &known),
    ] {
        engine.set(door);
        let begun = Instant::now();
        let text = manifest(&engine.address, more);
        let refused = block_in_place(|| refused(&daemon, &text));
        println!("{what}: {refused}");
        assert!(
            begun.elapsed() < SHORT + SLACK,
            "{what}: {:?}",
            begun.elapsed()
        );
        assert!(
            refused.contains(Reason::RemoteTls.id()),
            "{what}: {refused}"
        );
        assert!(engine.heads().is_empty(), "{what}: it was told something");
    }
    // Whoever does not show who it is learns of it late over TLS 1.3, and has said nothing of a call by then.
    engine.set(door(ENGINE));
    let text = manifest(&engine.address, CONFIG);
    let refused = block_in_place(|| refused(&daemon, &text));
    let reasons = [Reason::RemoteTls, Reason::RemoteUnreachable];
    assert!(
        reasons.iter().any(|reason| refused.contains(reason.id())),
        "{refused}"
    );
    assert!(engine.heads().is_empty());
    beside.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_becomes_wrong_costs_calls_until_it_is_right_again() {
    require_backends!();
    let (engine, secrets) = (Guarded::start().await, secrets());
    let daemon = daemon(&engine, &secrets);
    let text = manifest(&engine.address, &format!("{CONFIG}{KNOWN}"));
    block_in_place(|| place(&daemon, "far", &text));
    let client = daemon.client();
    let call = || add(&client, "far", (&[1.0], &[2.0]), Some(PATIENT));
    assert_eq!(call().await.unwrap(), [3.0]);
    let state = || {
        let told = daemon.json(&["describe", "far"]);
        told["model"]["endpoints"][0]["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    engine.set(door(EXPIRED));
    // The connection that there was may end under the first.
    let begun = Instant::now();
    loop {
        let fault = call().await.unwrap_err();
        if fault.reason == Some(Reason::RemoteTls) {
            break;
        }
        let lost = [
            Reason::RemoteLost,
            Reason::RemoteUnreachable,
            Reason::RemoteRefused,
        ];
        assert!(lost.contains(&fault.reason.unwrap()), "{fault}");
        assert!(begun.elapsed() < SOON, "{fault}");
    }
    until("it is left alone", SOON, || state() == "open").await;
    engine.set(door(ENGINE));
    let begun = Instant::now();
    while let Err(fault) = call().await {
        assert!(begun.elapsed() < SOON, "{fault}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    until("it is asked", SOON, || state() == "closed").await;
}
