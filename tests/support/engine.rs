//! A remote engine for models that are placed elsewhere: a second daemon, whose KServe service is put on a TCP port of this
//! machine. What goes over that can be held up, cut off, and refused.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::daemon::Daemon;

/// How much is carried over at a time.
const CHUNK: usize = 64 * 1024;

/// A daemon behind a TCP port.
#[derive(Debug)]
pub struct Engine {
    /// What computes.
    pub daemon: Daemon,
    wire: Arc<Wire>,
    runtime: Option<Runtime>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Wire {
    address: SocketAddr,
    socket: PathBuf,
    /// Nothing is carried over while this is true.
    held: watch::Sender<bool>,
    /// Connections of an earlier number end.
    cut: watch::Sender<u64>,
    connections: AtomicU64,
}

impl Engine {
    /// Puts a daemon on a port that was free.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn of(daemon: Daemon) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let wire = Arc::new(Wire {
            address: listener.local_addr().expect("its address"),
            socket: daemon.socket(),
            held: watch::channel(false).0,
            cut: watch::channel(0).0,
            connections: AtomicU64::new(0),
        });
        let listening = runtime.spawn(serve(Arc::clone(&wire), listener));
        Self {
            daemon,
            wire,
            runtime: Some(runtime),
            listening: Some(listening),
        }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.wire.address.to_string()
    }

    /// How many connections there have been.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.wire.connections.load(Ordering::Relaxed)
    }

    /// Holds up what goes either way, or no longer.
    pub fn hold(&self, held: bool) {
        self.wire.held.send_replace(held);
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.wire.cut.send_modify(|number| *number += 1);
    }

    /// Cuts every connection, and refuses others.
    pub fn leave(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
        self.cut();
    }

    /// Takes connections again, at the same address.
    ///
    /// # Panics
    /// When somebody else has it.
    pub fn come_back(&mut self) {
        let runtime = self
            .runtime
            .as_ref()
            .expect("it is there until it is dropped");
        let listener = std::net::TcpListener::bind(self.wire.address).expect("its own address");
        self.listening = Some(runtime.spawn(serve(Arc::clone(&self.wire), listener)));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may be dropped where another runtime waits.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(wire: Arc<Wire>, listener: std::net::TcpListener) {
    listener.set_nonblocking(true).expect("a socket of ours");
    let listener = TcpListener::from_std(listener).expect("in this runtime");
    while let Ok((tcp, _)) = listener.accept().await {
        wire.connections.fetch_add(1, Ordering::Relaxed);
        let wire = Arc::clone(&wire);
        let mut cut = wire.cut.subscribe();
        tokio::spawn(async move {
            let Ok(unix) = UnixStream::connect(&wire.socket).await else {
                return;
            };
            let _ = tcp.set_nodelay(true);
            let (from_client, to_client) = tcp.into_split();
            let (from_engine, to_engine) = unix.into_split();
            tokio::select! {
                () = carry(from_client, to_engine, &wire) => {}
                () = carry(from_engine, to_client, &wire) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

/// One way, until it ends.
async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    wire: &Wire,
) {
    let mut held = wire.held.subscribe();
    let mut chunk = vec![0; CHUNK];
    loop {
        let Ok(read @ 1..) = from.read(&mut chunk).await else {
            return;
        };
        // The sender lives as long as this.
        let _ = held.wait_for(|held| !held).await;
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}
