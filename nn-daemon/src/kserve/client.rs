//! What one connection holds: a session for each tenant that it has acted for, and in it the graphs that it has used lately.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nn_tensor::{Fault, Tenant};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::placed::Placed;
use crate::context::Context;
use crate::model::Model;
use crate::peer::Peer;
use crate::session::Session;

/// How many messages of one connection may wait for room at a time. What HTTP/2 has taken of each (256 KiB) is part of what
/// it takes of all (4 MiB): were that used up by those that wait, the others could not come, and no room become free.
pub(crate) const WAITING_MAX: usize = 8;

/// The clients that one connection is, by tenant. They go with it.
#[derive(Debug)]
pub(crate) struct Clients {
    context: Weak<Context>,
    by_tenant: Mutex<BTreeMap<Tenant, Arc<Client>>>,
    /// Places of its messages that wait for room.
    waiters: Arc<Semaphore>,
}

/// One connection acting for one tenant. Dropped, its session ends.
#[derive(Debug)]
pub(crate) struct Client {
    context: Weak<Context>,
    pub(crate) session: Arc<Session>,
    placed: Mutex<Vec<Arc<Placed>>>,
    next: AtomicU64,
}

// === impl Clients ===

impl Clients {
    /// Of a connection that has yet to ask for anything.
    pub(crate) fn new(context: &Arc<Context>) -> Self {
        Self {
            context: Arc::downgrade(context),
            by_tenant: Mutex::default(),
            waiters: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    /// Places of messages that wait for room.
    pub(crate) fn waiters(&self) -> Arc<Semaphore> {
        Arc::clone(&self.waiters)
    }

    /// The one that acts for a tenant: the one that does, or another, if the peer may and there is room for its session.
    pub(crate) fn of(
        &self,
        context: &Arc<Context>,
        peer: Peer,
        tenant: &Tenant,
    ) -> Result<Arc<Client>, Fault> {
        let all = self.by_tenant.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = all.get(tenant)
            && !client.session.is_closed()
        {
            // A reload may have taken the right away since.
            context.tenancy.allow(peer, tenant)?;
            return Ok(Arc::clone(client));
        }
        let session = context.sessions.open_inside(peer, tenant.clone())?;
        let client = Arc::new(Client {
            context: Weak::clone(&self.context),
            session,
            placed: Mutex::default(),
            next: AtomicU64::new(1),
        });
        tokio::spawn(sweep(Arc::downgrade(&client), context.config.limits.idle()));
        all.insert(tenant.clone(), Arc::clone(&client));
        Ok(client)
    }
}

/// Gives back what has been idle, every now and then, until the client goes.
async fn sweep(client: Weak<Client>, every: std::time::Duration) {
    loop {
        sleep(every).await;
        let Some(client) = client.upgrade() else {
            return;
        };
        if let Some(context) = client.context.upgrade() {
            client.sweep(&context);
        }
    }
}

// === impl Client ===

impl Client {
    /// A number that no compute of its session has had.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn placed(&self) -> MutexGuard<'_, Vec<Arc<Placed>>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where inputs of a model are placed; made with room for so many bytes, if it is not there.
    pub(super) fn place_of(
        &self,
        context: &Context,
        model: &Arc<Model>,
        bytes_min: u64,
    ) -> Result<Arc<Placed>, Fault> {
        let mut all = self.placed();
        // A graph goes when its model is unloaded.
        all.retain(|placed| self.session.graph(placed.graph.id).is_ok());
        if let Some(placed) = all.iter().find(|placed| placed.is_of(model)) {
            placed.touch();
            return Ok(Arc::clone(placed));
        }
        let limits = &context.config.limits;
        let (graph, first) = self.session.hold_named(model, bytes_min, limits)?;
        let number = graph.id;
        let placed = Placed::new(graph, &first).inspect_err(|_| {
            self.session.give_back(number, limits);
        });
        let placed = Arc::new(placed?);
        all.push(Arc::clone(&placed));
        Ok(placed)
    }

    /// Gives back graphs that nobody has used for a while, and idle segments of the others.
    fn sweep(&self, context: &Context) {
        let limits = &context.config.limits;
        let mut idle = Vec::new();
        self.placed().retain(|placed| {
            // One here, and none in a compute.
            let is_idle = Arc::strong_count(placed) == 1 && placed.unused() > limits.idle();
            if is_idle {
                idle.push(placed.graph.id);
            }
            !is_idle
        });
        for graph in idle {
            self.session.give_back(graph, limits);
        }
        let placed = self.placed().clone();
        for piece in placed.iter().flat_map(|placed| placed.sweep()) {
            for worker in context.workers() {
                worker.unmap(piece.arena, piece.id);
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(context) = self.context.upgrade() {
            context.close_session(self.session.id);
        }
    }
}
