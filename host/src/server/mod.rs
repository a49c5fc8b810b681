//! The HTTP server: which connections it accepts, and for how long.

mod caller;
mod client_address;
mod cors;
mod named_client;
pub(crate) mod network_limits;
mod overflow;
mod page;
mod patient;
mod routes;
mod running;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::Limits;
use crate::metrics::{ConnectionCounts, Counted};
pub(crate) use caller::Callers;
pub(crate) use cors::Cors;
pub(crate) use network_limits::NetworkLimits;
pub(crate) use overflow::MOST as OVERFLOW;
use overflow::{Overflow, Turn};
pub(crate) use page::LoginPage;
use patient::Patient;
pub(crate) use routes::{App, Host};
pub(crate) use running::{Process, Running};

/// Serves until `shutdown`. Then it finishes the requests in flight, for as long as the limits say. Returns when that
/// time ends.
///
/// TLS and HTTP/2 are for the proxy in front.
pub(crate) async fn serve(
    listener: TcpListener,
    running: Arc<Running>,
    limits: &Limits,
    counts: ConnectionCounts,
    shutdown: impl Future<Output = ()>,
) -> Instant {
    let most = limits.connections.get().min(Semaphore::MAX_PERMITS);
    let connections = Arc::new(Semaphore::new(most));
    counts.set_limit(most);
    let overflow = Arc::new(Overflow::new(Arc::clone(&connections), limits.request_time.0, counts.clone()));
    let graceful = GracefulShutdown::new();
    let (header_time, patience) = (limits.header_time.0, limits.request_time.0);
    let server = Server { running, header_time, patience, counts };
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (mut stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    // Most likely the process is out of file descriptors: an immediate retry would only burn time.
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        // Replies are small. Without this option the end of a reply can wait for the acknowledgement of its beginning.
        let _ = stream.set_nodelay(true);
        let (server, watcher) = (server.clone(), graceful.watcher());
        match Arc::clone(&connections).try_acquire_owned() {
            Ok(permit) => tokio::spawn(async move {
                server.connection(stream, peer, true, watcher).await;
                drop(permit);
            }),
            Err(_) => {
                overflow.warn(most);
                let (entered, overflow) = (overflow.enter().await, Arc::clone(&overflow));
                tokio::spawn(async move {
                    match overflow.wait(entered, &mut stream).await {
                        Some(Turn::Whole(_permit)) => server.connection(stream, peer, true, watcher).await,
                        Some(Turn::Health(_permit)) => server.connection(stream, peer, false, watcher).await,
                        None => {}
                    }
                })
            }
        };
    }
    drop(listener);
    overflow.close();
    tracing::info!("finishing the requests in flight");
    let until = Instant::now() + limits.shutdown_time.0;
    if tokio::time::timeout_at(until, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests in flight were not finished in time");
    }
    until
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    running: Arc<Running>,
    header_time: Duration,
    patience: Duration,
    counts: ConnectionCounts,
}

impl Server {
    /// Serves a connection to its end: all of its requests, or the first.
    async fn connection(&self, stream: TcpStream, peer: IpAddr, all: bool, watcher: Watcher) {
        let _open = Counted::new(&self.counts.open);
        let mut http = http1::Builder::new();
        // The limit for headers also ends connections that stay idle.
        http.timer(TokioTimer::new()).header_read_timeout(self.header_time).max_buf_size(MOST_BUFFERED).keep_alive(all);
        let stream = TokioIo::new(Patient::new(stream, self.patience));
        let service = service_fn(move |request| {
            let app = self.running.app();
            async move { Ok::<_, Infallible>(app.answer(request, peer).await) }
        });
        // A client that went away or was too slow is no error of the host.
        let _ = watcher.watch(http.serve_connection(stream, service)).await;
    }
}

const MOST_BUFFERED: usize = 64 * 1024;
