//! HTTP/2 and TLS, once, against itself: whatever they make when they are first used is there before the seal. What is
//! asked and answered here is nobody's.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use h2::server;
use http::{HeaderMap, HeaderValue, Response};
use nn_worker_base::Exit;
use nn_worker_wire::RemoteTls;
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use crate::engine::call::{Along, Call, unary};
use crate::engine::failed::Failed;
use crate::engine::link::speak;
use crate::engine::message;
use crate::engine::tls::Tls;

/// How long all of it may take.
const WARM_MAX: Duration = Duration::from_secs(10);

/// What lies between both ends.
const PIPE_BYTES: usize = 64 * 1024;

/// Does it.
pub(crate) async fn up() -> Result<(), Exit> {
    let warm = async {
        http2().await?;
        tls().await
    };
    let late = |_| Exit::Framework("HTTP/2 and TLS did not come up in time".to_owned(), None);
    timeout(WARM_MAX, warm).await.map_err(late)?
}

fn broken(what: &str, detail: String) -> Exit {
    Exit::Framework(format!("{what} did not come up"), Some(detail))
}

/// One call, and its answer.
async fn http2() -> Result<(), Exit> {
    let (near, far) = duplex(PIPE_BYTES);
    let engine = spawn_local(answer(far));
    let failed = |failed: Failed| broken("HTTP/2", failed.detail);
    let (send, _life, driver) = speak(near, 1).await.map_err(failed)?;
    let along = Along::default();
    let call = Call {
        base: "http://warm-up.invalid",
        method: "ModelReady",
        message: message::about("warm-up", ""),
        along: &along,
        deadline: Instant::now() + WARM_MAX,
        bytes_max: PIPE_BYTES,
    };
    let answered = unary(send, &call, || ()).await.map_err(failed)?;
    driver.abort();
    engine.abort();
    if answered == call.message.slice(message::PREFIX_BYTES..) {
        Ok(())
    } else {
        Err(broken("HTTP/2", "another answer".to_owned()))
    }
}

/// An engine that gives back what it is asked.
async fn answer(far: DuplexStream) -> Result<(), h2::Error> {
    let mut connection = server::handshake(far).await?;
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request?;
        spawn_local(async move {
            let mut body = request.into_body();
            let mut asked = Bytes::new();
            while let Some(piece) = body.data().await {
                asked = piece?;
            }
            let kind = HeaderValue::from_static("application/grpc");
            let mut answer = Response::new(());
            answer.headers_mut().insert("content-type", kind);
            let mut stream = respond.send_response(answer, false)?;
            stream.send_data(asked, false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            stream.send_trailers(trailers)
        });
    }
    Ok(())
}

/// As far as it goes without an engine: the keys of a connection are made, and its first words said.
async fn tls() -> Result<(), Exit> {
    let (near, mut far) = duplex(PIPE_BYTES);
    let listening = spawn_local(async move {
        let mut said = [0; 1024];
        far.read(&mut said).await
    });
    let tls = Tls::new(&RemoteTls {
        ca_pem: WARM_CA.to_vec(),
        client_pem: None,
        server_name: Some("warm-up.invalid".to_owned()),
    });
    let tls = tls.map_err(|failed| broken("TLS", failed.detail))?;
    let connected = tls.connect("warm-up.invalid:1", near).await;
    let said = listening
        .await
        .map_err(io::Error::other)
        .and_then(|said| said);
    match (connected, said) {
        (Err(_), Ok(said)) if said > 0 => Ok(()),
        (_, said) => Err(broken("TLS", format!("{said:?} bytes were said"))),
    }
}

/// A certificate that nobody is believed by.
const WARM_CA: &[u8] = include_bytes!("warm/ca.pem");
