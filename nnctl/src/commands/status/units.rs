//! What the account says of workers and of what is refused, a line each.

use super::Status;
use crate::output::{bytes, count};

impl Status {
    /// How many, whose, and what they may take.
    pub(super) fn workers_text(&self) -> String {
        let spares = match self.spares {
            0 => String::new(),
            spares => format!(", {spares} more spare"),
        };
        let missing = match self.spares_missing {
            0 => String::new(),
            missing => format!(", {missing} without a spare"),
        };
        let unit = match self.worker_isolation.as_str() {
            "tenant" => ", each of one tenant",
            _ => "",
        };
        let budgets = bytes(self.workers_memory_bytes);
        format!("{}{unit}{spares}{missing}; up to {budgets}", self.workers)
    }

    pub(super) fn quarantine_text(&self) -> String {
        match self.quarantined {
            0 => "empty".to_owned(),
            models => format!("{}; nnctl quarantine list", count(models.into(), "model")),
        }
    }
}
