//! The commands, a file each: ask the daemon, give a report.

pub(crate) mod bench;
pub(crate) mod describe;
pub(crate) mod doctor;
pub(crate) mod drain;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod infer;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod metrics;
mod model;
pub(crate) mod naming;
pub(crate) mod quarantine;
pub(crate) mod sandbox;
pub(crate) mod status;
pub(crate) mod unload;
