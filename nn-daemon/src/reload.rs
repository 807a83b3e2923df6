//! SIGHUP: the configuration, read again. What can change while the daemon serves does; what cannot is named, and holds
//! after the next restart. A configuration that is wrong changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use nn_sandbox::Layer;
use nn_service::Notifier;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_rustls::rustls::ServerConfig;

use crate::cli::Cli;
use crate::config::Config;
use crate::context::Context;
use crate::health;
use crate::server::{self, tls};

/// From here on SIGHUP is no longer the process's end.
pub(crate) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Reloads at every SIGHUP.
pub(crate) async fn on_hangup(
    context: Arc<Context>,
    mut hangups: Signal,
    cli: Cli,
    notifier: Notifier,
) {
    let mut config = context.config.clone();
    while hangups.recv().await.is_some() {
        notifier.reloading();
        match read(&context, &cli) {
            Ok((new, tls)) => {
                if let (Some(certificates), Some(tls)) = (&context.certificates, tls) {
                    certificates.replace(tls);
                    if let Some(address) = new.kserve.listen {
                        server::tell(address, &new.kserve);
                    }
                }
                apply(&context, &config, &new).await;
                config = new;
                notifier.ready(&health::summary(&context));
            }
            Err(error) => {
                tracing::error!("the configuration stays as it was: {error:#}");
                notifier.ready(&format!(
                    "the last reload failed, the configuration before it holds: {error:#}"
                ));
            }
        }
    }
}

/// The configuration, and the files that it names and that may have changed by themselves.
fn read(context: &Context, cli: &Cli) -> anyhow::Result<(Config, Option<Arc<ServerConfig>>)> {
    let config = Config::try_from(cli.clone())?;
    let wanted = context.certificates.as_ref();
    let tls = wanted.and(config.kserve.tls.as_ref()).map(tls::read);
    Ok((config, tls.transpose()?))
}

async fn apply(context: &Context, old: &Config, new: &Config) {
    context.tenancy.replace(new.tenants.clone());
    let remotes = context.tenancy.remotes();
    remotes.replace(new.kserve.tenants.clone());
    let (tenancy, sessions) = (&context.tenancy, context.sessions.all());
    let refused = sessions
        .iter()
        .filter(|session| tenancy.allow(session.peer, &session.tenant).is_err());
    let mut closed: usize = 0;
    for session in refused {
        context.close_session(session.id);
        closed = closed.saturating_add(1);
    }
    let of_configuration = context.registry.end_denied();
    let models = context.registry.rescan(&new.repositories).await;
    let of_models = context.registry.end_denied();
    let graphs_ended = of_configuration.saturating_add(of_models);
    tracing::info!(
        models,
        sessions_closed = closed,
        graphs_ended,
        "configuration reloaded"
    );
    new.warn();
    let mut later = after_restart(old, new);
    later.extend(out_of_reach(context, new));
    if !later.is_empty() {
        tracing::warn!(
            "changed, but in force only after a restart: {}",
            later.join(", ")
        );
    }
}

/// Repositories that the daemon's jail leaves out, because they were not there, or not named, when it was put up.
fn out_of_reach(context: &Context, new: &Config) -> Vec<String> {
    if !context.jails.broker.has(Layer::Landlock) {
        return Vec::new();
    }
    let began = &context.config.repositories;
    let added = new.repositories.iter();
    let added = added.filter(|path| !began.iter().any(|known| path.starts_with(known)));
    let told = |path: &PathBuf| format!("model_repository {}", path.display());
    added.map(told).collect()
}

/// The keys that differ and that a running daemon does not change.
fn after_restart(old: &Config, new: &Config) -> Vec<String> {
    let keys = [
        ("runtime_dir", old.runtime_dir != new.runtime_dir),
        ("state_dir", old.state_dir != new.state_dir),
        ("runtimes.onnxruntime", old.onnxruntime != new.onnxruntime),
        ("runtimes.openvino", old.openvino != new.openvino),
        ("workers.program", old.worker != new.worker),
        ("workers.spawner", old.spawner != new.spawner),
        ("workers.threads", old.threads != new.threads),
        ("workers.uid_first", old.uid_first != new.uid_first),
        ("workers.isolation", old.isolation != new.isolation),
        ("workers.warm_spare", old.warm_spare != new.warm_spare),
        ("metrics.listen", old.metrics != new.metrics),
        ("kserve.listen", old.kserve.listen != new.kserve.listen),
        (
            "kserve.tls",
            old.kserve.tls.is_some() != new.kserve.tls.is_some(),
        ),
        ("remote", old.remote != new.remote),
        (
            "sandbox.without",
            old.sandbox.without != new.sandbox.without,
        ),
        (
            "sandbox.without_broker",
            old.sandbox.without_broker != new.sandbox.without_broker,
        ),
        (
            "sandbox.without_spawner",
            old.sandbox.without_spawner != new.sandbox.without_spawner,
        ),
        (
            "sandbox.without_dialer",
            old.sandbox.without_dialer != new.sandbox.without_dialer,
        ),
    ];
    let keys = keys.into_iter().filter(|(_, differs)| *differs);
    let keys = keys.map(|(key, _)| key.to_owned());
    let limits = old.limits.list().into_iter().zip(new.limits.list());
    let limits = limits.filter(|((_, before, _), (_, after, _))| before != after);
    keys.chain(limits.map(|((name, ..), _)| format!("limits.{name}")))
        .collect()
}
