//! A relay's engine by itself: the real dialer's loop in a thread of this process, and a call made by hand.

use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nn_dialer::{Allowed, Pool};
use nn_relay::engine::Engine;
use nn_relay::engine::answer::check;
use nn_relay::engine::dial::Dialer;
use nn_relay::engine::failed::Failed;
use nn_relay::engine::message::{Input, NoRequest, infer};
use nn_shm::fds;
use nn_tensor::{DType, Reason, Shape, TensorName};
use nn_worker_wire::{BreakerRule, Remote, ToDialer, encode};
use tokio::task::LocalSet;
use tokio::time::Instant;

/// Longer than anything here takes on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Short, and long enough to be sent.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// Runs it on one thread, as a relay does.
pub(crate) fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// Runs it on a thread of its own, beside the test.
pub(crate) fn aside<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) {
    let named = std::thread::Builder::new().name(name.to_owned());
    named.spawn(run).unwrap();
}

/// A model at these endpoints.
pub(crate) fn remote(endpoints: &[&str]) -> Remote {
    Remote {
        endpoints: endpoints.iter().map(|&one| one.to_owned()).collect(),
        tls: None,
        headers: Vec::new(),
        model: "add".to_owned(),
        version: String::new(),
        connect_ms: 5000,
        compute_ms: 60_000,
        in_flight_max: 8,
        message_bytes_max: 16 << 20,
        breaker: BreakerRule {
            failures: 3,
            open_ms: 300,
        },
    }
}

/// A dialer that is allowed these endpoints; the relay's end of a socket to it.
pub(crate) fn dialer(endpoints: &[String]) -> Dialer {
    let allowed = Allowed::new(endpoints).unwrap();
    let (daemon, theirs) = fds::pair().unwrap();
    aside("dialer", move || {
        let pool = Pool::start().unwrap();
        nn_dialer::serve::serve(&theirs, &allowed, &pool)
    });
    let (relay, its) = fds::pair().unwrap();
    let frame = encode(&ToDialer::Relay { relay: 1 }).unwrap();
    fds::send(daemon.as_fd(), &frame, &[its.as_fd()]).unwrap();
    // As long as the test: the dialer ends with it.
    std::mem::forget(daemon);
    fcntl(&relay, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    Dialer::new(relay).unwrap()
}

/// Opens it.
pub(crate) async fn open(remote: Remote) -> Result<Rc<Engine>, Failed> {
    let dialer = dialer(&remote.endpoints);
    Engine::open(remote, dialer).await.map(Rc::new)
}

/// One call: `x` of n × 2 numbers, and what came as `y`.
pub(crate) async fn call(
    engine: &Engine,
    values: &[f32],
    within: Duration,
) -> Result<Vec<f32>, Failed> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let rows = u32::try_from(values.len() / 2).unwrap();
    let input = Input {
        name: TensorName::new("x").unwrap(),
        dtype: DType::Fp32,
        shape: Shape::new(&[rows, 2]).unwrap(),
        bytes: bytes.len(),
    };
    let max = engine.message_bytes_max();
    let remote = engine.remote();
    let message = infer::<()>((&remote.model, &remote.version), &[input], max, |_, to| {
        to.copy_from_slice(&bytes);
        Ok(())
    });
    let message = match message {
        Ok(message) => message,
        Err(NoRequest::TooLong(_)) => return Err(Failed::unsent(Reason::RemoteMessage, "")),
        Err(NoRequest::Bytes(())) => panic!("bytes"),
    };
    let deadline = Instant::now() + within;
    let answer = engine.infer(message, deadline, |message: Bytes| {
        let given = check(engine.signature(), &message, max)?;
        let floats = given[0].bytes.chunks_exact(4);
        Ok(floats
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect())
    });
    answer.await
}
