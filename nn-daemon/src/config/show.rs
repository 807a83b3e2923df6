//! The configuration as a file that would have the same effect: for `--print-config`.

use std::fmt;

use nn_sandbox::Layer;

use super::{Config, Library};
use crate::framework::Framework;

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
        for (tenant, uids) in &self.tenants {
            writeln!(f, "\n[tenants.{:?}]\nuids = {uids:?}", tenant.as_str())?;
        }
        Ok(())
    }
}
