//! HTTP/2 without TLS, on the same port: several requests by one connection, and clients that take nothing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use http::{Method, Request, Response};
use nn_tests::{HttpHost, wait_until};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use super::SOON;
use super::base::{fds, wait_fds};

/// A connection, and what reads it.
struct Client {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

// === impl Client ===

impl Client {
    async fn to(host: &HttpHost, window: u32) -> Self {
        let stream = TcpStream::connect(host.address()).await.unwrap();
        let mut builder = Builder::new();
        builder.initial_window_size(window);
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        Self {
            requests,
            connection: tokio::spawn(connection),
        }
    }

    async fn begin(
        &self,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Response<RecvStream>, h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let uri = format!("http://host.example{path}");
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let (response, mut stream) = requests.send_request(request, body.is_none())?;
        if let Some(body) = body {
            // Refused bodies are not waited for.
            let _ = stream.send_data(Bytes::copy_from_slice(body), true);
        }
        response.await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&[u8]>) -> (u16, String) {
        let response = self.begin(method, path, body).await.unwrap();
        let status = response.status().as_u16();
        (status, read(response.into_body()).await.unwrap())
    }
}

async fn read(mut body: RecvStream) -> Result<String, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        let _ = body.flow_control().release_capacity(piece.len());
        bytes.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_by_one_connection_are_answered_each_in_its_time() {
    let host = HttpHost::builder()
        .with_limit("body_bytes_max = 100")
        .start("http-cases");
    let client = Client::to(&host, 65_535).await;
    let slow = client
        .begin(Method::GET, "/linger?ms=1000", None)
        .await
        .unwrap();
    let mut others = JoinSet::new();
    for number in 0..20 {
        let client = Client {
            requests: client.requests.clone(),
            connection: tokio::spawn(async { Ok(()) }),
        };
        others.spawn(async move {
            let body = number.to_string();
            let answered = client
                .ask(Method::POST, "/echo", Some(body.as_bytes()))
                .await;
            (answered, (200, format!("{body}\n")))
        });
    }
    while let Some(other) = others.join_next().await {
        let (answered, expected) = other.unwrap();
        assert_eq!(answered, expected);
    }
    let large = client.ask(Method::POST, "/echo", Some(&[b'x'; 101])).await;
    let seen = client.ask(Method::GET, "/headers", None).await;
    assert_eq!((large.0, seen.0), (413, 200), "{large:?}");
    assert_eq!(read(slow.into_body()).await.unwrap(), "begun\n");
    let by_h1 = tokio::task::block_in_place(|| host.get("/world").status);
    assert_eq!(by_h1, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_what_has_begun_finish_and_takes_nothing_new() {
    let mut host = HttpHost::start();
    let client = Client::to(&host, 65_535).await;
    let begun = client
        .begin(Method::GET, "/linger?ms=1000", None)
        .await
        .unwrap();
    host.ask_to_end();
    assert_eq!(read(begun.into_body()).await.unwrap(), "begun\n");
    let ended = tokio::time::timeout(SOON, client.connection).await;
    assert!(ended.is_ok());
    assert_eq!(tokio::task::block_in_place(|| host.wait_end()), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_of_one_answer_is_given_up() {
    let limits = HttpHost::builder().with_limit("requests_max = 1");
    let host = limits.start("http-cases");
    let before = tokio::task::block_in_place(|| {
        assert_eq!(host.get("/world").status, 200);
        fds(&host)
    });
    let client = Client::to(&host, 16).await;
    let stalled = client
        .begin(Method::GET, "/stream?bytes=1000000", None)
        .await
        .unwrap();
    tokio::task::block_in_place(|| {
        assert_eq!(host.get("/world").status, 503);
        wait_until("its place is free again", SOON * 4, || {
            host.get("/world").status == 200
        });
    });
    drop(stalled);
    assert!(tokio::time::timeout(SOON, client.connection).await.is_ok());
    tokio::task::block_in_place(|| wait_fds(&host, before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_its_client_takes_back_stops_its_guest() {
    let limits = HttpHost::builder().with_limit("requests_max = 1");
    let host = limits.start("http-cases");
    let client = Client::to(&host, 65_535).await;
    let mut requests = client.requests.clone().ready().await.unwrap();
    let uri = "http://host.example/sleep?ms=30000";
    let request = Request::builder().uri(uri).body(()).unwrap();
    let (mut response, mut stream) = requests.send_request(request.clone(), true).unwrap();
    let moment = Duration::from_millis(10);
    let end = Instant::now() + SOON;
    while tokio::task::block_in_place(|| host.get("/world").status != 503) {
        assert!(Instant::now() < end, "it has no place");
        // The one place was this look's when it came.
        if tokio::time::timeout(moment, &mut response).await.is_ok() {
            requests = requests.ready().await.unwrap();
            (response, stream) = requests.send_request(request.clone(), true).unwrap();
        }
    }
    let pending = tokio::time::timeout(moment, &mut response);
    assert!(pending.await.is_err());
    stream.send_reset(Reason::CANCEL);
    tokio::task::block_in_place(|| {
        wait_until("its place is free again", SOON, || {
            host.get("/world").status == 200
        });
    });
}
