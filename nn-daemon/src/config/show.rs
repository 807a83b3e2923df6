//! The configuration as a file that would have the same effect: for `--print-config`.

use std::fmt;

use nn_sandbox::Layer;
use nn_tensor::Tenant;

use super::{Config, Library};
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
        writeln!(f, "\n[limits]")?;
        for (name, value, _) in self.limits.list() {
            writeln!(f, "{name} = {value}")?;
        }
        if let Some(listen) = self.metrics {
            writeln!(f, "\n[metrics]\nlisten = \"{listen}\"")?;
        }
        self.tenants
            .iter()
            .try_for_each(|(name, rules)| tenant(f, name, rules))
    }
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
