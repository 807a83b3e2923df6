//! SIGHUP: the configuration and the guests, read again. What comes of it is served when all of it is compiled and the
//! models that it lists are ready; requests in flight end in what they began in. A configuration that is wrong, or that
//! does not get ready, changes nothing. The address and the daemon's socket stay for as long as the process does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use nn_service::Notifier;
use tokio::signal::unix::Signal;
use tokio::task::JoinSet;

use crate::cli::ServeArgs;
use crate::daemon::Daemon;
use crate::exit::Failure;
use crate::serve::config::Config;
use crate::serve::handler::Handler;
use crate::serve::models;
use crate::serve::site::{Clients, Site};

/// What a reload needs, and what it cannot change.
pub(super) struct Reload {
    pub(super) args: ServeArgs,
    pub(super) listen: Option<SocketAddr>,
    /// `None` for a private daemon.
    pub(super) socket: Option<PathBuf>,
    pub(super) clients: Arc<Clients>,
    pub(super) handler: Arc<Handler>,
    pub(super) notifier: Notifier,
    pub(super) serving: String,
}

impl Reload {
    /// Keeps the models known, and reloads at each hangup.
    pub(super) async fn run(self, mut hangups: Signal) {
        let mut keeping = JoinSet::new();
        keeping.spawn(models::keep(self.handler.site()));
        while hangups.recv().await.is_some() {
            self.notifier.reloading();
            match self.reload().await {
                Ok(site) => {
                    let routes = site.routes().count();
                    tracing::info!(routes, "the configuration was read again");
                    keeping.shutdown().await;
                    keeping.spawn(models::keep(site));
                    self.notifier.ready(&self.serving);
                }
                Err(failure) => {
                    let failure = anyhow::Error::from(failure);
                    tracing::error!("the configuration stays as it was: {failure:#}");
                    let status = format!("{}; the last reload failed: {failure:#}", self.serving);
                    self.notifier.ready(&status);
                }
            }
        }
    }

    async fn reload(&self) -> Result<Arc<Site>, Failure> {
        let config = Config::try_from(self.args.clone())?;
        self.warn_of_what_stays(&config);
        let old = self.handler.site();
        let site = Site::build(&config, &self.clients, Some(&old)).await?;
        let site = Arc::new(site);
        models::ready(&site).await?;
        self.handler.replace(Arc::clone(&site));
        self.clients.keep_only(&site);
        Ok(site)
    }

    fn warn_of_what_stays(&self, config: &Config) {
        if config.listen != self.listen {
            tracing::warn!("listen has changed; the new address takes a restart");
        }
        let socket = match &config.daemon {
            Daemon::At(socket) => Some(socket),
            Daemon::Private { .. } => None,
        };
        if socket != self.socket.as_ref() {
            tracing::warn!("socket has changed; the other daemon takes a restart");
        }
    }
}
