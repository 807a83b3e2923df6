//! What a tenant may have of the daemon, whatever its hosts do: other tenants' models, sessions, graphs and memory are not
//! there for it, each bound of its own holds over all its sessions, and what is taken from it ends at once.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it"
)]

#[expect(dead_code, reason = "some of it is for the tests of the doors alone")]
#[path = "doors/raw.rs"]
mod raw;

#[path = "tenants/bounds.rs"]
mod bounds;
#[path = "tenants/configuration.rs"]
mod configuration;
#[path = "tenants/denials.rs"]
mod denials;
#[path = "tenants/withdrawn.rs"]
mod withdrawn;

use std::time::Duration;

use nix::unistd::geteuid;
use nn_proto::v1::{self, infer_request, infer_response};
use nn_tensor::{Code, Fault};
use nn_tests::{Daemon, DaemonBuilder, fake_model, nnctl, wait_until};
use serde_json::Value;

use raw::{Raw, RawGraph, RawStream};

/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A daemon with the models `echo` and `sleep`, and a table of each of these tenants, which this user may act for.
fn daemon(tenants: &[(&str, &str)]) -> Daemon {
    with_models(builder(tenants).start())
}

fn builder(tenants: &[(&str, &str)]) -> DaemonBuilder {
    let table =
        |(name, keys): &(&str, &str)| format!("[tenants.{name}]\nuids = [{}]\n{keys}\n", geteuid());
    let tables: String = tenants.iter().map(table).collect();
    Daemon::builder()
        .with_worker("nn-worker-fake")
        .with_sections(&tables)
}

fn with_models(daemon: Daemon) -> Daemon {
    for name in ["echo", "sleep"] {
        daemon.load(name, &fake_model(name));
    }
    daemon
}

/// A session, its graph of the model that sleeps, and its stream.
struct Sleeper {
    graph: RawGraph,
    stream: RawStream,
    raw: Raw,
}

impl Sleeper {
    fn of(daemon: &Daemon, tenant: &str) -> Self {
        let raw = Raw::of(daemon, tenant).unwrap();
        Self {
            graph: raw.graph("sleep"),
            stream: raw.stream(),
            raw,
        }
    }

    /// A compute that takes so long.
    fn compute(&self, ms: i64) -> v1::Compute {
        let bytes = ms.to_le_bytes();
        let slot = self.graph.input.slice(0, 8).unwrap();
        slot.copy_from(&bytes).unwrap();
        self.graph.compute("ms", v1::DType::I64, &[], 8)
    }

    fn begin(&self, id: u64, ms: i64) {
        self.send(id, self.compute(ms));
    }

    fn send(&self, id: u64, compute: v1::Compute) {
        self.stream.send(id, infer_request::Body::Compute(compute));
    }

    /// The next answer to a compute.
    fn answer(&mut self) -> Result<v1::Outputs, Fault> {
        loop {
            match self.stream.answer(&self.raw).unwrap().1 {
                infer_response::Body::Outputs(outputs) => return Ok(outputs),
                infer_response::Body::Error(error) => return Err(error.into()),
                // What names mean now.
                _ => {}
            }
        }
    }

    /// A compute of its own, to its end.
    fn sleep(&mut self, id: u64, ms: i64) -> Result<v1::Outputs, Fault> {
        self.begin(id, ms);
        self.answer()
    }
}

fn fault(status: &tonic::Status) -> Fault {
    nn_client::status_to_fault(status)
}

/// The events of a kind.
fn events(daemon: &Daemon, kind: &str) -> Vec<Value> {
    let printed = nnctl(daemon, &["--json", "events"]).ok().stdout;
    let events = printed.lines();
    let events = events.map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["kind"] == kind).collect()
}

/// Value and use of a limit of a tenant.
fn limit(daemon: &Daemon, tenant: &str, name: &str) -> (Option<u64>, Option<u64>) {
    let told = daemon.json(&["status", "--tenant", tenant]);
    let limits = told["tenants"][0]["limits"].as_array().unwrap();
    let is_it = |limit: &&Value| limit["name"] == name && limit["enforced_by"] == "daemon";
    let limit = limits.iter().find(is_it).unwrap();
    (limit["value"].as_u64(), limit["used"].as_u64())
}

/// Waits for something that is bound to be.
fn until(what: &str, holds: impl FnMut() -> bool) {
    wait_until(what, SOON, holds);
}

fn is_not_found(refused: &Result<v1::Outputs, Fault>) -> bool {
    matches!(refused, Err(fault) if fault.code == Code::NotFound)
}
