//! The daemon's own jail and the spawner's, as the daemon tells of them.

use nn_proto::v1;
use serde::Serialize;

use super::{Protection, yes_no};
use crate::output::{Paint, Table, printable};

/// The jail of the daemon itself, or of the spawner.
#[derive(Debug, Serialize)]
pub(super) struct Jail {
    pub(super) process: String,
    pid: u32,
    pub(super) profile: String,
    pub(super) layers: Vec<Protection>,
    /// What the kernel says of its walls.
    kernel: String,
}

/// `None` of an older daemon.
pub(super) fn table(jails: &[Jail], paint: Paint) -> Option<String> {
    let mut table = Table::new(&["PROCESS", "LAYER", "NEED", "ACTIVE", "DETAIL"]);
    let mut kernel = String::new();
    for jail in jails {
        for layer in &jail.layers {
            table.row([
                jail.process.clone(),
                layer.layer.clone(),
                layer.need.clone(),
                yes_no(layer.active),
                layer.detail.clone(),
            ]);
        }
        let line = format!(
            "the kernel of {} (pid {}): {}",
            jail.process, jail.pid, jail.kernel
        );
        kernel.push_str(&printable(&line));
        kernel.push('\n');
    }
    (!jails.is_empty()).then(|| format!("{}{kernel}", table.render(paint)))
}

// === impl Jail ===

impl From<v1::JailStatus> for Jail {
    fn from(jail: v1::JailStatus) -> Self {
        Self {
            process: jail.process,
            pid: jail.pid,
            profile: jail.profile,
            layers: jail.layers.into_iter().map(Into::into).collect(),
            kernel: jail.kernel,
        }
    }
}
