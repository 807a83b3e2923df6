//! The configuration as a file that would have the same effect: for `--print-config`.

use std::fmt;

use nn_sandbox::Layer;
use nn_tensor::Tenant;

use super::{Config, Kserve, Library};
use crate::framework::Framework;
use crate::tenancy::Rules;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "runtime_dir = {:?}", self.runtime_dir)?;
        writeln!(f, "state_dir = {:?}", self.state_dir)?;
        writeln!(f, "model_repository = {:?}", self.repositories)?;
        writeln!(f, "\n[runtimes]")?;
        for framework in Framework::ALL {
            let name = framework.name();
            match self.library(framework) {
                Library::At(path) | Library::Missing(path) => writeln!(f, "{name} = {path:?}")?,
                Library::NotIn(places) => writeln!(f, "# {name}: not found in {places:?}")?,
            }
        }
        writeln!(f, "\n[workers]")?;
        writeln!(
            f,
            "program = {:?}\nspawner = {:?}",
            self.worker, self.spawner
        )?;
        if let Some(remote) = &self.remote {
            let (relay, dialer) = (&remote.relay, &remote.dialer);
            writeln!(f, "relay = {relay:?}\ndialer = {dialer:?}")?;
        }
        writeln!(f, "threads = {}", self.threads)?;
        writeln!(f, "uid_first = {}", self.uid_first)?;
        writeln!(f, "isolation = {:?}", self.isolation.name())?;
        writeln!(f, "warm_spare = {}", self.warm_spare)?;
        let names =
            |layers: &[Layer]| -> Vec<&str> { layers.iter().map(|layer| layer.name()).collect() };
        let sandbox = &self.sandbox;
        writeln!(f, "\n[sandbox]\nwithout = {:?}", names(&sandbox.without))?;
        writeln!(f, "without_broker = {:?}", names(&sandbox.without_broker))?;
        writeln!(f, "without_spawner = {:?}", names(&sandbox.without_spawner))?;
        writeln!(f, "without_dialer = {:?}", names(&sandbox.without_dialer))?;
        writeln!(f, "\n[limits]")?;
        for (name, value, _) in self.limits.list() {
            writeln!(f, "{name} = {value}")?;
        }
        if let Some(listen) = self.metrics {
            writeln!(f, "\n[metrics]\nlisten = \"{listen}\"")?;
        }
        kserve(f, &self.kserve)?;
        if let Some(remote) = &self.remote {
            writeln!(f, "\n[remote]\nendpoints = {:?}", remote.endpoints)?;
            if let Some(secrets) = &remote.secrets {
                writeln!(f, "secrets = {secrets:?}")?;
            }
        }
        self.tenants
            .iter()
            .try_for_each(|(name, rules)| tenant(f, name, rules))
    }
}

/// The door over TCP, where there is one.
fn kserve(f: &mut fmt::Formatter<'_>, kserve: &Kserve) -> fmt::Result {
    let Some(listen) = kserve.listen else {
        return Ok(());
    };
    writeln!(f, "\n[kserve]\nlisten = \"{listen}\"")?;
    writeln!(f, "plaintext = {}", kserve.plaintext)?;
    if let Some(tenant) = &kserve.tenants.others {
        writeln!(f, "tenant = {:?}", tenant.as_str())?;
    }
    if let Some(tls) = &kserve.tls {
        writeln!(f, "\n[kserve.tls]\ncertificate = {:?}", tls.certificate)?;
        writeln!(f, "key = {:?}", tls.key)?;
        if let Some(clients) = &tls.clients {
            writeln!(f, "clients = {clients:?}")?;
        }
    }
    if !kserve.tenants.by_name.is_empty() {
        writeln!(f, "\n[kserve.tenants]")?;
    }
    let mut names = kserve.tenants.by_name.iter();
    names.try_for_each(|(name, tenant)| writeln!(f, "{name:?} = {:?}", tenant.as_str()))
}

/// What is said of a tenant. A key that would say what holds anyhow is left out: written, it would say it of the tenant.
fn tenant(f: &mut fmt::Formatter<'_>, name: &Tenant, rules: &Rules) -> fmt::Result {
    writeln!(f, "\n[tenants.{:?}]", name.as_str())?;
    if let Some(uids) = &rules.uids {
        writeln!(f, "uids = {uids:?}")?;
    }
    if let Some(models) = &rules.models {
        let models: Vec<&str> = models.iter().map(|name| name.as_str()).collect();
        writeln!(f, "models = {models:?}")?;
    }
    writeln!(f, "weight = {}", rules.weight)?;
    rules
        .own
        .iter()
        .try_for_each(|(bound, value)| writeln!(f, "{} = {value}", bound.name()))
}
