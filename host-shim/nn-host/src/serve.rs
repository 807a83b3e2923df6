//! `nn-host serve`: one component that answers HTTP/1.1, a fresh instance for each request. From the
//! configuration to the end that a signal asks for:
//!
//! compile, listen, ready → `accept` (connections) → `handler` (one request) → `instance` (one guest) → drain
//!
//! It is no gateway: one guest, one tenant, no TLS, no routes. No request of a guest leaves this machine.

mod accept;
mod access;
mod code;
mod config;
mod error;
mod exchange;
mod file;
mod handler;
mod health;
mod instance;
mod listen;
mod outgoing;
mod output;
mod refusal;
mod request;
mod response;
mod stream;

use std::sync::Arc;

use nn_client::Client;
use nn_service::Notifier;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use wasmtime::component::Linker;
use wasmtime_wasi::p2;
use wasmtime_wasi_http::p2 as http_p2;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::daemon::PrivateDaemon;
use crate::exit::{CausedBy, Failure};
use crate::guest::{self, Guest};
use crate::state::State;
use crate::telemetry;

use accept::Acceptor;
use handler::Handler;
use instance::Program;

pub(crate) use config::Config;
pub(crate) use error::ServeError;
pub(crate) use listen::inherited;

/// How the end is asked for: first gently, then at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Serve,
    Drain,
    End,
}

/// Serves until a signal; gives the exit code. A private daemon is gone afterwards, whatever happened.
pub(crate) async fn serve(
    config: Config,
    inherited: Option<std::net::TcpListener>,
) -> Result<u8, Failure> {
    let signals = Signals::new().map_err(ServeError::Signals)?;
    let (socket, mut private) = config.daemon.start()?;
    let client = Client::new(socket, config.tenant.clone());
    let (wish, wishes) = watch::channel(Wish::Serve);
    let listening = signals.listen(wish);
    let serving = attend(&config, inherited, client, private.as_mut(), wishes);
    let served = tokio::select! {
        served = serving => served,
        () = listening => Ok(0),
    };
    if let Some(private) = private {
        private.stop().await;
    }
    served
}

async fn attend(
    config: &Config,
    inherited: Option<std::net::TcpListener>,
    client: Client,
    private: Option<&mut PrivateDaemon>,
    wishes: watch::Receiver<Wish>,
) -> Result<u8, Failure> {
    let pre = tokio::select! {
        pre = compile(config) => pre?,
        () = drain_wished(wishes.clone()) => return Ok(0),
    };
    if let Some(private) = private {
        private.wait_ready(&client).await?;
        telemetry::repeat(&private.complaints());
    }
    let listener = listen::listen(config.listen, inherited)?;
    let serving = serving(&listener, config);
    let notifier = Notifier::from_env().map_err(ServeError::Thread)?;
    tracing::info!("{serving}");
    notifier.ready(&serving);

    let program = Program {
        pre,
        client: client.clone(),
        ceilings: config.limits.ceilings,
        env: config.env.clone(),
    };
    let handler = Arc::new(Handler::new(program, config.limits));
    let (beat, beats) = mpsc::channel(1);
    let mut telling = JoinSet::new();
    telling.spawn(health::session(client, notifier.clone(), serving));
    telling.spawn(health::watchdog(beat, notifier.clone()));
    let acceptor = Acceptor::new(handler, config.limits, notifier.clone());
    acceptor.run(listener, beats, wishes).await;
    telling.shutdown().await;
    notifier.flush();
    Ok(0)
}

/// The guest, linked and ready to be instantiated.
async fn compile(config: &Config) -> Result<ProxyPre<State>, Failure> {
    let bytes = guest::read(&config.guest)?;
    let (engine, guest) = guest::compile(bytes, config.cache.clone()).await?;
    let Guest::Component(component) = guest else {
        return Err(ServeError::NotComponent.into());
    };
    let unfit = |error| Failure::Unfit(CausedBy(error));
    let mut linker = Linker::<State>::new(&engine);
    p2::add_to_linker_async(&mut linker).map_err(unfit)?;
    http_p2::add_only_http_to_linker_async(&mut linker).map_err(unfit)?;
    outgoing::bound(&mut linker).map_err(unfit)?;
    nn_host_shim::add_to_linker(&mut linker).map_err(unfit)?;
    let pre = linker.instantiate_pre(&component).map_err(unfit)?;
    let pre = ProxyPre::new(pre).map_err(|error| ServeError::NotProxy(CausedBy(error)))?;
    Ok(pre)
}

/// One line of what is done where.
fn serving(listener: &TcpListener, config: &Config) -> String {
    let guest = config.guest.display();
    match listener.local_addr() {
        Ok(address) => format!("serving {guest} on http://{address}"),
        Err(_) => format!("serving {guest}"),
    }
}

async fn drain_wished(mut wishes: watch::Receiver<Wish>) {
    // An error says that nobody is left to wish, which is the end as well.
    let _ = wishes.wait_for(|wish| *wish != Wish::Serve).await;
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

// === impl Signals ===

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The first asks for a drain, the second for the end. Never returns: the work does.
    async fn listen(mut self, wish: watch::Sender<Wish>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            wish.send_modify(|wish| {
                *wish = match *wish {
                    Wish::Serve => Wish::Drain,
                    Wish::Drain | Wish::End => Wish::End,
                }
            });
        }
    }
}
