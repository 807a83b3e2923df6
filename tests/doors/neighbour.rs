//! An honest session beside an abuse, and what the daemon holds before and after it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nn_client::{Client, Graph, Input};
use nn_tensor::{DType, Shape, TensorName};
use nn_tests::{Daemon, DaemonBuilder, ProcState, fake_model, wait_until};

/// How much longer than alone the neighbour's calls may take, by the one in a hundred that takes longest.
const RATIO: u32 = 10;

/// What they may take in any case: these tests share two cores with others.
const FLOOR: Duration = Duration::from_millis(500);

/// How much the daemon may grow; allocators keep some of what they have had.
const GROWTH_KIB: u64 = 64 * 1024;

/// How long what an abuse held may take to go. Longer than every deadline of a connection.
const SOON: Duration = Duration::from_secs(30);

/// Calls by which the neighbour knows how long they take alone, and the fewest beside an abuse.
const CALLS: usize = 100;

/// Between two calls.
const PAUSE: Duration = Duration::from_millis(1);

/// A daemon with a model that echoes.
pub(crate) fn echo_daemon(builder: DaemonBuilder) -> Daemon {
    let daemon = builder.with_worker("nn-worker-fake").start();
    daemon.load("echo", &fake_model("echo"));
    daemon
}

/// Says when the neighbour may stop, even if the abuse panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Commits an abuse beside an honest session, whose every call is answered right and in time; then waits until the
/// daemon holds nothing of it.
pub(crate) fn beside<T>(daemon: &Daemon, abuse: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    let client = daemon.client();
    let (begun, alone) = mpsc::channel();
    thread::scope(|scope| {
        let honest = thread::Builder::new().name("honest".to_owned());
        let stop_seen = &stop;
        let honest = honest
            .spawn_scoped(scope, move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime.unwrap().block_on(calls(&client, stop_seen, &begun))
            })
            .unwrap();
        let alone = alone.recv().unwrap();
        let before = ProcState::of(daemon.pid()).unwrap();
        let done = {
            let _stop = Stop(&stop);
            abuse()
        };
        let beside = honest.join().unwrap();
        println!("p99 alone {alone:?}, beside it {beside:?}");
        assert!(
            beside <= (alone * RATIO).max(FLOOR),
            "a neighbour's call took {beside:?}, alone {alone:?}"
        );
        at_base(daemon, before);
        done
    })
}

/// Waits until the daemon holds no more descriptors than before; then it has not grown either.
fn at_base(daemon: &Daemon, before: ProcState) {
    let now = || ProcState::of(daemon.pid()).unwrap();
    wait_until("descriptors are back at their base", SOON, || {
        now().fds <= before.fds
    });
    let grown = now().anonymous_kib.saturating_sub(before.anonymous_kib);
    assert!(grown < GROWTH_KIB, "the daemon has grown by {grown} KiB");
}

/// Calls until it is told to stop; gives the longest but a hundredth of those beside.
async fn calls(client: &Client, stop: &AtomicBool, begun: &mpsc::Sender<Duration>) -> Duration {
    let graph = client.resolve("echo").await.unwrap();
    let mut alone = Vec::new();
    for _ in 0..CALLS {
        alone.push(call(&graph).await);
    }
    begun.send(p99(alone)).unwrap();
    let mut beside = Vec::new();
    while beside.len() < CALLS || !stop.load(Ordering::Relaxed) {
        beside.push(call(&graph).await);
        tokio::time::sleep(PAUSE).await;
    }
    p99(beside)
}

async fn call(graph: &Graph) -> Duration {
    let began = Instant::now();
    echo(graph, &[1, 2, 3, 4]).await;
    began.elapsed()
}

/// One call of the model that echoes.
pub(crate) async fn echo(graph: &Graph, bytes: &[u8]) {
    let slot = graph
        .reserve(bytes.len().try_into().unwrap())
        .await
        .unwrap();
    slot.copy_from(bytes).unwrap();
    let input = Input {
        name: TensorName::new("x").unwrap(),
        dtype: DType::Fp32,
        shape: Shape::new(&[(bytes.len() / 4).try_into().unwrap()]).unwrap(),
        slot,
    };
    let outputs = graph.compute(vec![input], None).await.unwrap();
    let mut echoed = vec![0; bytes.len()];
    outputs[0].slot.copy_to(&mut echoed).unwrap();
    assert_eq!(echoed, bytes);
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}
