//! The HTTP server: which connections it accepts, and for how long.

mod caller;
mod claims;
mod client_address;
mod cors;
mod health;
mod listener;
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

use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::lifecycle::{self, Stop};
use crate::metrics::Counted;
pub(crate) use caller::Callers;
pub(crate) use cors::Cors;
pub(crate) use health::PATHS as HEALTH_PATHS;
pub(crate) use listener::Listener;
pub(crate) use network_limits::NetworkLimits;
pub(crate) use overflow::MOST as OVERFLOW;
use overflow::{Overflow, Turn};
pub(crate) use page::LoginPage;
use patient::Patient;
pub(crate) use routes::{App, Host};
use running::LateRequest;
pub(crate) use running::{Process, Running};

/// Serves until the process is asked to stop, and then drains, for as long as the limits say. Returns when that time
/// ends: now, if the process is asked again.
///
/// TLS and HTTP/2 are for the proxy in front.
pub(crate) async fn serve(listener: Listener, running: Arc<Running>, stop: &mut Stop) -> Instant {
    let most = running.app().host.limits.connections.get().min(Semaphore::MAX_PERMITS);
    let connections = Arc::new(Semaphore::new(most));
    let counts = running.app().host.process.metrics.connections.clone();
    counts.set_limit(most);
    let overflow = Arc::new(Overflow::new(Arc::clone(&connections), counts));
    let (graceful, queued) = (GracefulShutdown::new(), GracefulShutdown::new());
    let server = Server { listener, running, most, connections, overflow, graceful, queued };
    server.accept_until(stop.requested()).await;
    tokio::select! {
        until = server.drain() => until,
        () = stop.requested_again() => {
            tracing::warn!("stopped at once, at the second signal");
            Instant::now()
        }
    }
}

/// The server of one listener.
struct Server {
    listener: Listener,
    running: Arc<Running>,
    most: usize,
    connections: Arc<Semaphore>,
    overflow: Arc<Overflow>,
    /// The connections that are served at once.
    graceful: GracefulShutdown,
    /// Those that have waited at the limit of connections.
    queued: GracefulShutdown,
}

impl Server {
    async fn accept_until(&self, end: impl Future<Output = ()>) {
        let mut end = std::pin::pin!(end);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut end => return,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer).await,
                Err(error) => {
                    // Most likely the process is out of file descriptors: an immediate retry would only burn time.
                    tracing::warn!(%error, "no connection can be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Serves a connection in a task of its own.
    async fn take(&self, mut stream: TcpStream, peer: IpAddr) {
        // Replies are small. Without this option the end of a reply can wait for the acknowledgement of its beginning.
        let _ = stream.set_nodelay(true);
        let running = Arc::clone(&self.running);
        match Arc::clone(&self.connections).try_acquire_owned() {
            Ok(permit) => {
                let watcher = self.graceful.watcher();
                tokio::spawn(async move {
                    serve_connection(running, peer, stream, true, watcher).await;
                    drop(permit);
                })
            }
            Err(_) => {
                let watcher = self.queued.watcher();
                self.overflow.warn(self.most);
                let (entered, overflow) = (self.overflow.enter().await, Arc::clone(&self.overflow));
                tokio::spawn(async move {
                    let patience = running.app().host.limits.request_time.0;
                    match overflow.wait(entered, patience, &mut stream).await {
                        Some(Turn::Whole(_permit)) => serve_connection(running, peer, stream, true, watcher).await,
                        Some(Turn::Health(_permit)) => serve_connection(running, peer, stream, false, watcher).await,
                        None => {}
                    }
                })
            }
        };
    }

    /// Stops without losing a request. A proxy learns step by step that it must not use this host.
    ///
    /// 1. `/readyz` fails, and each response ends its connection (`Connection: close`). New connections are served.
    /// 2. No new connection begins, and the listener is closed.
    /// 3. Connections that are idle stay for a moment: a proxy can be sending a request on them right now.
    /// 4. Requests in flight are finished.
    async fn drain(self) -> Instant {
        let limits = self.running.app().host.limits.clone();
        self.running.app().host.process.begin_drain();
        lifecycle::tell_stopping();
        tracing::info!("draining");
        self.accept_until(sleep(limits.drain_time.0)).await;
        self.listener.refuse();
        self.accept_until(sleep(HANDSHAKE)).await;
        let Self { listener, overflow, graceful, queued, running, .. } = self;
        drop(listener);
        tracing::info!("finishing the requests in flight");
        let until = Instant::now() + limits.shutdown_time.0;
        let idle_until = until.min(Instant::now() + IDLE);
        while graceful.count() + queued.count() > 0 && Instant::now() < idle_until {
            sleep(TURN).await;
        }
        let finish_queue = async {
            // The end of idle connections makes room for the requests that wait, and these are served first.
            while overflow.has_queue() {
                sleep(TURN).await;
            }
            sleep(TURN).await;
            overflow.close();
            queued.shutdown().await;
        };
        let finish = async {
            tokio::join!(graceful.shutdown(), finish_queue);
            while running.app().host.process.has_late_requests() {
                sleep(TURN).await;
            }
        };
        if tokio::time::timeout_at(until, finish).await.is_err() {
            tracing::warn!("some requests in flight were not finished in time");
        }
        until
    }
}

/// Serves a connection to its end: all of its requests, or the first.
async fn serve_connection(running: Arc<Running>, peer: IpAddr, stream: TcpStream, all: bool, watcher: Watcher) {
    // A connection outlives many reloads, and keeps no configuration.
    let (limits, _open) = {
        let app = running.app();
        (app.host.limits.clone(), Counted::new(&app.host.process.metrics.connections.open))
    };
    let mut http = http1::Builder::new();
    // The limit for headers also ends connections that stay idle.
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_time.0).max_buf_size(MOST_BUFFERED).keep_alive(all);
    let stream = TokioIo::new(Patient::new(stream, limits.request_time.0));
    let service = service_fn(move |request| {
        let app = running.app();
        async move {
            let mut response = app.answer(request, peer).await;
            if app.host.process.is_draining() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    // A client that went away or was too slow is no error of the host.
    let _ = watcher.watch(http.serve_connection(stream, service)).await;
}

const MOST_BUFFERED: usize = 64 * 1024;

/// How long a connection takes from its place in the queue to its first request.
const TURN: Duration = Duration::from_millis(20);

/// How long a connection can take to begin.
const HANDSHAKE: Duration = Duration::from_millis(100);

/// How long an idle connection stays after the listener is closed. By then a proxy that is busy has used it, or has
/// found that this host takes no connections.
const IDLE: Duration = Duration::from_secs(1);
