//! `nn-host serve`: components that answer HTTP, a fresh instance for each request. From the configuration to the end
//! that a signal asks for:
//!
//! ```text
//! config ─▶ site: compiled, models ready ─▶ listen ─▶ accept ─▶ connection ─▶ handler: route, place ─▶ instance
//!              ▲                                                                  │
//!              └── reload (SIGHUP): another site, for the requests from then on ──┘
//! ```
//!
//! It is no gateway: no TLS, no rewriting, no clients known by name. No request of a guest leaves this machine.

mod accept;
mod access;
mod code;
mod config;
mod connection;
mod document;
mod error;
mod exchange;
mod file;
mod handler;
mod health;
mod instance;
mod listen;
mod meter;
mod models;
mod outgoing;
mod output;
mod present;
mod program;
mod refusal;
mod reload;
mod request;
mod response;
mod route;
mod site;
mod stream;
mod streams;
mod tenant;

use std::sync::Arc;

use nn_client::Client;
use nn_service::Notifier;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::cli::ServeArgs;
use crate::daemon::{Daemon, PrivateDaemon};
use crate::exit::Failure;
use crate::telemetry;

use accept::Acceptor;
use handler::Handler;
use reload::Reload;
use site::{Clients, Site};

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

/// Serves until a signal; gives the exit code. A private daemon is gone afterwards, whatever happened. The arguments are
/// those that the configuration was made from, to make it again at SIGHUP.
pub(crate) async fn serve(
    args: ServeArgs,
    config: Config,
    inherited: Option<std::net::TcpListener>,
) -> Result<u8, Failure> {
    let signals = Signals::new().map_err(ServeError::Signals)?;
    // From here on a hangup is no longer the process's end.
    let hangups = signal(SignalKind::hangup()).map_err(ServeError::Signals)?;
    let (socket, mut private) = config.daemon.start()?;
    let clients = Arc::new(Clients::new(socket));
    let (wish, wishes) = watch::channel(Wish::Serve);
    let listening = signals.listen(wish);
    let serving = attend(
        Beginning {
            args,
            config,
            inherited,
            hangups,
            clients,
        },
        private.as_mut(),
        wishes,
    );
    let served = tokio::select! {
        served = serving => served,
        () = listening => Ok(0),
    };
    if let Some(private) = private {
        private.stop().await;
    }
    served
}

/// What it begins with.
struct Beginning {
    args: ServeArgs,
    config: Config,
    inherited: Option<std::net::TcpListener>,
    hangups: Signal,
    clients: Arc<Clients>,
}

async fn attend(
    beginning: Beginning,
    private: Option<&mut PrivateDaemon>,
    wishes: watch::Receiver<Wish>,
) -> Result<u8, Failure> {
    let Beginning {
        args,
        config,
        inherited,
        hangups,
        clients,
    } = beginning;
    let site = tokio::select! {
        site = ready(&config, &clients, private) => Arc::new(site?),
        () = drain_wished(wishes.clone()) => return Ok(0),
    };
    let listener = listen::listen(config.listen, inherited)?;
    let serving = serving(&listener, &config);
    let notifier = Notifier::from_env().map_err(ServeError::Thread)?;
    tracing::info!("{serving}");
    notifier.ready(&serving);

    let handler = Arc::new(Handler::new(Arc::clone(&site)));
    let reload = Reload {
        args,
        listen: config.listen,
        socket: match config.daemon {
            Daemon::At(socket) => Some(socket),
            Daemon::Private { .. } => None,
        },
        clients: Arc::clone(&clients),
        handler: Arc::clone(&handler),
        notifier: notifier.clone(),
        serving: serving.clone(),
    };
    let (beat, beats) = mpsc::channel(1);
    let mut telling = JoinSet::new();
    telling.spawn(health::session(all_of(&site), notifier.clone(), serving));
    telling.spawn(health::watchdog(beat, notifier.clone()));
    telling.spawn(reload.run(hangups));
    drop(site);
    let acceptor = Acceptor::new(handler, notifier.clone());
    acceptor.run(listener, beats, wishes).await;
    telling.shutdown().await;
    notifier.flush();
    Ok(0)
}

/// Everything compiled, a private daemon there, and the models that routes list.
async fn ready(
    config: &Config,
    clients: &Clients,
    private: Option<&mut PrivateDaemon>,
) -> Result<Site, Failure> {
    let site = Site::build(config, clients, None).await?;
    if let Some(private) = private
        && let Some(client) = all_of(&site).first()
    {
        private.wait_ready(client).await?;
        telemetry::repeat(&private.complaints());
    }
    models::ready(&site).await?;
    Ok(site)
}

/// A client of each tenant.
fn all_of(site: &Site) -> Vec<Client> {
    let mut clients: Vec<Client> = Vec::new();
    for route in site.routes() {
        let client = &route.account.client;
        if !clients
            .iter()
            .any(|known| known.tenant() == client.tenant())
        {
            clients.push(client.clone());
        }
    }
    clients
}

/// One line of what is done where.
fn serving(listener: &TcpListener, config: &Config) -> String {
    let what = match config.routes.as_slice() {
        [only] => only.component.display().to_string(),
        several => format!("{} routes", several.len()),
    };
    match listener.local_addr() {
        Ok(address) => format!("serving {what} on http://{address}"),
        Err(_) => format!("serving {what}"),
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
