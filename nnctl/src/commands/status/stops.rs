//! Computes that were stopped before they were done.

use nn_proto::v1;
use serde::Serialize;

use crate::output::Table;

/// Computes that were stopped while their worker lived on.
#[derive(Debug, Serialize)]
pub(super) struct Stop {
    reason: String,
    count: u64,
}

/// `None` where every compute was left to its end.
pub(super) fn table(stops: &[Stop]) -> Option<Table> {
    let mut table = Table::new(&["COMPUTES STOPPED BY", "COUNT"]);
    let mut any = false;
    for stop in stops.iter().filter(|stop| stop.count > 0) {
        table.row([stop.reason.clone(), stop.count.to_string()]);
        any = true;
    }
    any.then_some(table)
}

impl From<v1::StopStatus> for Stop {
    fn from(stop: v1::StopStatus) -> Self {
        Self {
            reason: stop.reason,
            count: stop.count,
        }
    }
}
