//! One guest, for one request: from a fresh store to its end. The task owns the store and its place among
//! the requests at a time; both are given back by its end, and by nothing else.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use nn_host_shim::{GuestLimits, WasiNnCtx};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use wasmtime::Store;
use wasmtime_wasi::{I32Exit, WasiCtx};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use crate::serve::exchange::{Judge, Phase, Stop, Verdict, stop};
use crate::serve::meter::Metered;
use crate::serve::output::Said;
use crate::serve::request::RequestBody;
use crate::serve::site::{Place, Route};
use crate::state::{Ceilings, REQUEST_RESOURCES_MAX, State};
use crate::telemetry::{Limiter, printable};
use crate::turns::in_turns;

static TRAPS: Limiter = Limiter::new(10);
static LATE: Limiter = Limiter::new(10);

/// How a guest ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself.
    Returned,
    /// It trapped, or left by an exit code.
    Trapped(String),
    /// It could not be started.
    Unfit(String),
    /// Its time was over.
    Late,
    /// Its processor time was.
    Exhausted,
    /// Its client is gone.
    Gone,
}

/// A head with a body to come, or a guest's own refusal.
pub(super) type Answer = Result<Response<WasiBody>, ErrorCode>;

/// A guest at work.
pub(super) struct Running {
    pub(super) answer: oneshot::Receiver<Answer>,
    pub(super) verdict: Verdict,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) task: JoinHandle<Ended>,
}

/// Everything that the task needs.
struct Work {
    pre: ProxyPre<State>,
    request: Request<RequestBody<Incoming>>,
    answer: oneshot::Sender<Answer>,
    phases: watch::Receiver<Phase>,
    cpu_max: Duration,
}

// === impl Route ===

impl Route {
    /// Starts a guest for a request.
    pub(super) fn start(
        &self,
        request: Request<RequestBody<Incoming>>,
        id: &str,
        first: Phase,
        place: Place,
    ) -> Running {
        let (sender, answer) = oneshot::channel();
        let (phase, phases) = watch::channel(first);
        let verdict = Verdict::default();
        let judge = verdict.judge();
        let pre = self.program.pre.clone();
        let store = State::store(
            pre.engine(),
            (self.wasi(id), self.nn(id)),
            Ceilings {
                memory_max: self.limits.memory_max,
                compute_timeout: self.limits.compute_timeout,
            },
            REQUEST_RESOURCES_MAX,
        );
        let work = Work {
            pre,
            request,
            answer: sender,
            phases,
            cpu_max: self.limits.cpu_max,
        };
        let id = id.to_owned();
        let task = tokio::spawn(async move {
            let ended = run(store, work, judge).await;
            tell(&id, &ended);
            drop(place);
            ended
        });
        Running {
            answer,
            verdict,
            phase,
            task,
        }
    }

    fn wasi(&self, id: &str) -> WasiCtx {
        WasiCtx::builder()
            .stdout(Said::new(id, "stdout"))
            .stderr(Said::new(id, "stderr"))
            .envs(&self.env)
            .build()
    }

    fn nn(&self, id: &str) -> WasiNnCtx {
        let account = &self.account;
        let mut nn = WasiNnCtx::builder(account.client.clone())
            .limits(GuestLimits::default())
            .tenant_quota(account.quota.clone())
            .timeout(self.limits.compute_timeout);
        if let Some(models) = &account.models {
            nn = nn.models(Arc::clone(models));
        }
        // A request's id is made of letters that fit.
        if let Ok(trace) = id.parse() {
            nn = nn.trace(trace);
        }
        nn.build()
    }
}

/// The judge goes before the store, and with it the answer's body.
async fn run(mut store: Store<State>, work: Work, judge: Judge) -> Ended {
    let Work {
        pre,
        request,
        answer,
        phases,
        cpu_max,
    } = work;
    let call = in_turns(call(&mut store, pre, request, answer));
    let calling = Metered::new(Box::pin(call), cpu_max);
    let ended = tokio::select! {
        // First: a guest that is always busy must not go before its own end.
        biased;
        stop = stop(phases) => match stop {
            Stop::Late => Ended::Late,
            Stop::Gone => Ended::Gone,
        },
        ended = calling => ended.unwrap_or(Ended::Exhausted),
    };
    match ended {
        Ended::Returned => judge.well(),
        Ended::Trapped(_) | Ended::Unfit(_) | Ended::Late | Ended::Exhausted | Ended::Gone => {
            drop(judge);
        }
    }
    drop(store);
    ended
}

async fn call(
    store: &mut Store<State>,
    pre: ProxyPre<State>,
    request: Request<RequestBody<Incoming>>,
    answer: oneshot::Sender<Answer>,
) -> Ended {
    let unfit = |error: wasmtime::Error| Ended::Unfit(format!("{error:#}"));
    let mut http = store.data_mut().http();
    let request = match http.new_incoming_request(Scheme::Http, request) {
        Ok(request) => request,
        Err(error) => return unfit(error),
    };
    let out = match http.new_response_outparam(answer) {
        Ok(out) => out,
        Err(error) => return unfit(error),
    };
    let proxy = match pre.instantiate_async(&mut *store).await {
        Ok(proxy) => proxy,
        Err(error) => return unfit(error),
    };
    let handler = proxy.wasi_http_incoming_handler();
    match handler.call_handle(&mut *store, request, out).await {
        Ok(()) => Ended::Returned,
        Err(error) => Ended::Trapped(reason(&error)),
    }
}

fn reason(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(code)) => format!("it left by exit code {code}"),
        None => {
            // Where it happened is for the guest's author.
            tracing::debug!("{error:?}");
            error.root_cause().to_string()
        }
    }
}

/// For the operator: what the client is not told.
fn tell(request: &str, ended: &Ended) {
    match ended {
        Ended::Returned => {}
        Ended::Trapped(reason) | Ended::Unfit(reason) => {
            if TRAPS.pass().is_some() {
                let reason = printable(reason);
                tracing::warn!(%request, %reason, "the guest failed");
            }
        }
        Ended::Late => {
            if LATE.pass().is_some() {
                tracing::warn!(%request, "the guest took too long and was stopped");
            }
        }
        Ended::Exhausted => {
            if LATE.pass().is_some() {
                tracing::warn!(%request, "the guest used all its processor time and was stopped");
            }
        }
        Ended::Gone => tracing::debug!(%request, "the client is gone; the guest was stopped"),
    }
}
