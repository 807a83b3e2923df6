//! How a relay comes up, as a worker does: nothing but its descriptors and the log; what its spawner says that it is made
//! of; the daemon's Boot; the jail; the runtime, HTTP/2 and TLS, each used once; the seal; Ready; and then what it is told of
//! the model. A model that no endpoint has is told to the daemon, which then says Bye.

use std::hash::RandomState;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nn_sandbox::apply;
use nn_tensor::Fault;
use nn_worker_base::answer::loaded;
use nn_worker_base::channel::FDS_MAX;
use nn_worker_base::order::Order;
use nn_worker_base::start::{blobs, isolate};
use nn_worker_base::{Exit, log};
use nn_worker_wire::{BUILD_ID, FromWorker, Interrupt, REMOTE, Remote, ToWorker};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::desk::Desk;
use crate::engine::Engine;
use crate::engine::dial::Dialer;
use crate::packets::{Buffer, Packets};
use crate::{serve, warm};

/// Come with Boot, and get the lowest numbers that are free: that of the order, which has been read by then, and the next.
/// The filter names them.
const INTERRUPTS_FD: i32 = 4;
const DIALER_FD: i32 = 5;

/// What the relay has when it is sealed.
struct Sealed {
    control: OwnedFd,
    interrupts: OwnedFd,
    dialer: OwnedFd,
    runtime: Runtime,
    tasks: LocalSet,
    /// What the process may have of memory.
    budget: u64,
}

/// Lives a relay's life.
pub(crate) fn live() -> Exit {
    let Sealed {
        control,
        interrupts,
        dialer,
        runtime,
        tasks,
        budget,
    } = match boot() {
        Ok(sealed) => sealed,
        Err(exit) => return exit,
    };
    let served = tasks.block_on(&runtime, async {
        let control = Packets::new(control, FDS_MAX)?;
        let interrupts = Packets::<Interrupt>::new(interrupts, 0)?;
        let dialer = Dialer::new(dialer).map_err(Exit::system("epoll_ctl"))?;
        control.send(&FromWorker::Ready {
            build_id: BUILD_ID.to_owned(),
            runtime: "Open Inference Protocol v2 over gRPC".to_owned(),
        })?;
        let engine = model(&control, dialer).await?;
        control.send(&loaded(engine.signature()))?;
        let desk = Desk::new(control, engine, budget);
        Ok(serve::serve(desk, interrupts).await)
    });
    // Nothing is taken down but by the end of the process.
    std::mem::forget((runtime, tasks));
    served.unwrap_or_else(|exit| exit)
}

fn boot() -> Result<Sealed, Exit> {
    let mut control = nn_worker_base::channel::Channel::new(isolate()?);
    let order = Order::read()?;
    let (frame, fds) = control.recv()?;
    let ToWorker::Boot { build_id } = frame else {
        return Err(Exit::protocol("the first frame is not Boot"));
    };
    if build_id != BUILD_ID {
        return Err(Exit::Protocol(format!(
            "a daemon of build {build_id}; this relay is of {BUILD_ID}"
        )));
    }
    if order.said.backend != REMOTE || order.said.libraries() > 0 {
        let backend = &order.said.backend;
        return Err(Exit::Framework(
            format!("no relay is called {backend}"),
            None,
        ));
    }
    let numbers: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let mut fds = fds.into_iter();
    let (Some(interrupts), Some(dialer), [INTERRUPTS_FD, DIALER_FD]) =
        (fds.next(), fds.next(), numbers.as_slice())
    else {
        return Err(Exit::protocol(
            "Boot brings a relay two descriptors, the fifth and the sixth",
        ));
    };
    let control = control.into_socket();
    for socket in [&control, &interrupts, &dialer] {
        let set = fcntl(socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        set.map_err(Exit::system("fcntl"))?;
    }
    let steps = order.steps(None)?;
    apply(&steps.enter)?;
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let runtime = runtime.map_err(Exit::system("making the runtime"))?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, warm::up())?;
    let budget = order.said.sandbox.data_bytes_max;
    drop(order);
    // The keys of this thread's hash maps are made once.
    let _ = RandomState::new();
    apply(&steps.seal)?;
    Ok(Sealed {
        control,
        interrupts,
        dialer,
        runtime,
        tasks,
        budget,
    })
}

/// Waits for the model, and asks its endpoints.
async fn model(control: &Packets<ToWorker>, dialer: Dialer) -> Result<Engine, Exit> {
    let mut buffer = Buffer::default();
    let (parts, fds) = match control.recv(&mut buffer).await? {
        (ToWorker::Model { format, parts, .. }, fds) if format == REMOTE => (parts, fds),
        (ToWorker::Bye, _) => return Err(Exit::Clean),
        _ => return Err(Exit::protocol("a frame before the model")),
    };
    let blobs = blobs(&parts, fds)?;
    let [blob] = <[_; 1]>::try_from(blobs)
        .map_err(|_| Exit::protocol("what is told of a model is one part"))?;
    let mapped = blob.map().map_err(|error| Exit::System {
        call: "mmap",
        source: io::Error::other(error),
    })?;
    let remote = Remote::from_bytes(mapped.as_ref()).map_err(Exit::Protocol)?;
    drop(mapped);
    let failed = match Engine::open(remote, dialer).await {
        Ok(engine) => return Ok(engine),
        Err(failed) => failed,
    };
    let failure = failed.into_failure();
    let text = Fault::runtime(failure.message.clone());
    log::line(&format!("no model: {text} ({})", failure.detail));
    let result = Err(failure);
    control.send(&FromWorker::Loaded { result })?;
    match control.recv(&mut buffer).await? {
        (ToWorker::Bye, _) => Err(Exit::Clean),
        _ => Err(Exit::protocol("a frame for a model that was not loaded")),
    }
}
