//! How the daemon asks remote engines.

use nn_proto::v1;
use serde::Serialize;

/// Where models that remote engines compute may be.
#[derive(Debug, Serialize)]
pub(super) struct Remote {
    endpoints: Vec<String>,
    /// Whether what connects is there.
    available: bool,
    /// Why not.
    detail: String,
    pid: u32,
}

impl Remote {
    /// `a:8001, b:8001`.
    pub(super) fn text(&self) -> String {
        let all = self.endpoints.join(", ");
        if self.available {
            return all;
        }
        format!("NOT ASKED ({}): {all}", self.detail)
    }
}

impl From<v1::RemoteStatus> for Remote {
    fn from(remote: v1::RemoteStatus) -> Self {
        Self {
            endpoints: remote.endpoints,
            available: remote.available,
            detail: remote.detail,
            pid: remote.pid,
        }
    }
}
