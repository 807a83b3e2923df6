//! What each way holds of memory, with everything started anew for it.

use std::path::Path;

use anyhow::Result;

use crate::kind::Kind;
use crate::models::{PAYLOADS, Payload};
use crate::path::Options;
use crate::procs::{self, Memory, Placement};

/// Which payloads are worth knowing it of.
const TITLES: [&str; 3] = ["16 B", "12 MiB", "efficientnet-lite0"];

/// Calls before it is read.
const CALLS: u32 = 20;

/// One way with one payload.
#[derive(Debug)]
pub(crate) struct Used {
    pub(crate) payload: Payload,
    pub(crate) kind: Kind,
    /// Of all its processes together.
    pub(crate) total: Memory,
    /// Of the host alone.
    pub(crate) host: Memory,
}

pub(crate) fn measure(options: &Options, repositories: &Path) -> Result<Vec<Used>> {
    let mut all = Vec::new();
    for payload in PAYLOADS
        .into_iter()
        .filter(|payload| TITLES.contains(&payload.title))
    {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.has_model()) {
            all.push(one(
                options,
                &repositories.join(payload.model),
                payload,
                kind,
            )?);
        }
    }
    Ok(all)
}

fn one(options: &Options, repository: &Path, payload: Payload, kind: Kind) -> Result<Used> {
    let placement = Placement::Free;
    let daemon = options.setting.daemon(placement, repository)?;
    let mut way = kind.start(options, placement, repository, &daemon.socket(), payload)?;
    way.ask(&payload.command())?;
    way.ask(&format!("run {CALLS}"))?;
    let host = procs::memory(way.pid());
    let mut total = host;
    if kind.is_isolated() {
        for pid in procs::family(daemon.pid()) {
            let more = procs::memory(pid);
            total.peak += more.peak;
            total.proportional += more.proportional;
        }
    }
    Ok(Used {
        payload,
        kind,
        total,
        host,
    })
}
