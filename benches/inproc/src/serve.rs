//! `inproc serve`: guests that answer HTTP, with wasmtime-wasi-nn in the host's own process. What serves them is made as in
//! nn-host: the same engine (its source, compiled in here), a fresh instance of a pool for each request in a task of its own, the
//! same executor, bounds on requests that are refused at once. A compute is what wasmtime-wasi-nn makes of it: a call that keeps
//! its executor's thread until it is done.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::error::Context as _;
use wasmtime::{Result, Store};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};
use wasmtime_wasi_nn::backend::onnx::OnnxBackend;
use wasmtime_wasi_nn::wit::{self, WasiNnCtx, WasiNnView};
use wasmtime_wasi_nn::{Backend, Graph, Registry};

use crate::clock::Ticking;
use crate::engine::engine;
use crate::{Models, graphs, named, open};

/// What one call of a guest may carry; more than the largest model.
const HOSTCALL_FUEL: usize = 512 << 20;

/// The most that a guest hands over of an answer's body in one piece; as in nn-host.
const PIECE_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// libonnxruntime.so.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    runtime: PathBuf,
    /// A model that guests can have by name; may be given again.
    #[arg(long = "model", value_name = "NAME=FILE", value_parser = named)]
    models: Vec<(String, PathBuf)>,
    /// Framework threads of all sessions together, which do not spin; 0: as wasmtime-wasi-nn leaves it.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// A directory that guests may read.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Requests at a time; more are refused at once.
    #[arg(long, value_name = "N", default_value_t = 64)]
    requests_max: usize,
    /// Of these, requests with that `host` header; may be given again.
    #[arg(long = "share", value_name = "HOST=N", value_parser = share)]
    shares: Vec<(String, usize)>,
    /// The guest, a component of `wasi:http/proxy`.
    component: PathBuf,
}

/// What a request's instance holds.
struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    requests: NoRequests,
    nn: WasiNnCtx,
    table: ResourceTable,
    _ticking: Ticking,
}

/// No guest sends requests of its own.
struct NoRequests;

/// What sending one would come to.
type Sent = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

/// Everything that requests share.
struct Host {
    pre: ProxyPre<State>,
    graphs: HashMap<String, Graph>,
    dir: Option<PathBuf>,
    places: Arc<Semaphore>,
    shares: HashMap<String, Arc<Semaphore>>,
}

/// Given back when the guest has ended.
type Place = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

type Answer = Response<WasiBody>;

fn share(text: &str) -> Result<(String, usize), String> {
    let wrong = || format!("{text} is not HOST=N");
    let (host, count) = text.split_once('=').ok_or_else(wrong)?;
    Ok((host.to_owned(), count.parse().map_err(|_| wrong())?))
}

/// As nn-host's.
const EVENT_INTERVAL: u32 = 1;

/// Serves until it is killed.
pub(crate) fn serve(args: &ServeArgs) -> Result<()> {
    open(&args.runtime, args.threads)?;
    let host = Arc::new(Host::new(args)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let guest = args.component.display();
        eprintln!("serving {guest} on http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            tokio::spawn(connection(stream, Arc::clone(&host)));
        }
    })
}

async fn connection(stream: TcpStream, host: Arc<Host>) {
    let service = service_fn(|request| {
        let host = Arc::clone(&host);
        async move { Ok::<_, Infallible>(host.answer(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    // A client that leaves is no concern of the host's.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// The guest's part of a request.
async fn guest(
    mut store: Store<State>,
    pre: ProxyPre<State>,
    request: Request<Incoming>,
    answer: oneshot::Sender<Result<Response<WasiBody>, ErrorCode>>,
) -> Result<()> {
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request)?;
    let out = http.new_response_outparam(answer)?;
    let proxy = pre.instantiate_async(&mut store).await?;
    let handler = proxy.wasi_http_incoming_handler();
    handler.call_handle(&mut store, request, out).await
}

// === impl Host ===

impl Host {
    fn new(args: &ServeArgs) -> Result<Self> {
        let engine = engine(None, Some(args.requests_max))?;
        let what = || format!("{} is no guest", args.component.display());
        let component = Component::from_file(&engine, &args.component).with_context(what)?;
        let mut linker = Linker::<State>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        wit::add_to_linker(&mut linker, |state: &mut State| {
            WasiNnView::new(&mut state.table, &mut state.nn)
        })?;
        let shares = args.shares.iter();
        let shares = shares.map(|(host, count)| (host.clone(), Arc::new(Semaphore::new(*count))));
        Ok(Self {
            pre: ProxyPre::new(linker.instantiate_pre(&component)?)?,
            graphs: graphs(&args.models)?,
            dir: args.dir.clone(),
            places: Arc::new(Semaphore::new(args.requests_max)),
            shares: shares.collect(),
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let place = match self.place(&request) {
            Ok(place) => place,
            Err(status) => return plain(status, "busy: too many requests at a time\n"),
        };
        let store = match self.store() {
            Ok(store) => store,
            Err(error) => return failed(&error),
        };
        let (sender, answer) = oneshot::channel();
        let pre = self.pre.clone();
        tokio::spawn(async move {
            if let Err(error) = guest(store, pre, request, sender).await {
                eprintln!("the guest failed: {error:#}");
            }
            drop(place);
        });
        match answer.await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) | Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "no answer\n"),
        }
    }

    fn place(&self, request: &Request<Incoming>) -> Result<Place, StatusCode> {
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let enter = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned();
        let share = self.shares.get(host).map(enter).transpose();
        let share = share.map_err(|_| StatusCode::TOO_MANY_REQUESTS)?;
        let place = enter(&self.places).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        Ok((place, share))
    }

    fn store(&self) -> Result<Store<State>> {
        let state = State {
            wasi: wasi(self.dir.as_deref())?,
            http: WasiHttpCtx::new(),
            requests: NoRequests,
            nn: WasiNnCtx::new(
                [Backend::from(OnnxBackend::default())],
                Registry::from(Models(self.graphs.clone())),
            ),
            table: ResourceTable::new(),
            _ticking: Ticking::begin(),
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_epoch_deadline(1);
        // Not the turns of nn-host: guests that keep the thread while they infer are served better where another thread may take them.
        store.epoch_deadline_async_yield_and_update(1);
        Ok(store)
    }
}

fn wasi(dir: Option<&Path>) -> Result<WasiCtx> {
    let mut wasi = WasiCtx::builder();
    if let Some(dir) = dir {
        wasi.preopened_dir(dir, "/models", FsPerms::ReadOnly)?;
    }
    Ok(wasi.build())
}

fn failed(error: &wasmtime::Error) -> Answer {
    eprintln!("no guest: {error:#}");
    plain(StatusCode::INTERNAL_SERVER_ERROR, "no guest\n")
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.requests,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE_BYTES_MAX
    }
}
