//! What is counted of a session's computes, for its tenant and for each model (docs/metrics.md).

use std::time::Duration;

use nn_tensor::Fault;

use super::Session;
use crate::metrics::Spent;
use crate::model::Model;
use crate::queue::Reply;

impl Session {
    /// Counts a compute that was refused before it had a model.
    pub(crate) fn refused(&self, fault: &Fault) {
        self.counts.computed(Err(fault));
    }

    /// Counts one that has ended, so long after it came.
    pub(crate) fn computed(&self, model: &Model, result: Result<&Reply, &Fault>, took: Duration) {
        self.counts.computed(result.map(drop));
        let spent = result.map(|reply| Spent {
            queue_us: reply.queue_us,
            run_us: reply.run_us,
        });
        model.metrics(&self.metrics).computed(spent, took);
    }

    /// Counts that the inputs of one have been copied to where the worker reads them.
    pub(crate) fn copied(&self, model: &Model, took: Duration) {
        model.totals.copied(took);
        model.metrics(&self.metrics).copied(took);
    }
}
