//! The HTTP server: which connections are accepted, and for how long.

mod page;
mod patient;
mod routes;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::config::Limits;
pub(crate) use page::LoginPage;
use patient::Patient;
pub(crate) use routes::{App, Host};

/// Serves until `shutdown`, and then finishes the requests in flight, for as long as the limits say.
///
/// TLS and HTTP/2 are for the proxy in front.
pub(crate) async fn serve(listener: TcpListener, app: App, limits: &Limits, shutdown: impl Future<Output = ()>) {
    let mut http = http1::Builder::new();
    // It also ends connections that stay idle.
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_time.0).max_buf_size(MOST_BUFFERED);
    let connections = Arc::new(Semaphore::new(limits.connections.get().min(Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    let app = Arc::new(app);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // Who comes when all are taken waits in the backlog of the listener.
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            next = next => match next {
                (permit, Ok((stream, _))) => (permit, stream),
                (_, Err(error)) => {
                    // Out of file descriptors, most likely: trying again at once would only burn time.
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        // Replies are small: without it the end of one can wait for the acknowledgement of its beginning.
        let _ = stream.set_nodelay(true);
        let stream = TokioIo::new(Patient::new(stream, limits.request_time.0));
        let app = Arc::clone(&app);
        let service = service_fn(move |request| {
            let app = Arc::clone(&app);
            async move { Ok::<_, Infallible>(app.answer(request).await) }
        });
        let connection = graceful.watch(http.serve_connection(stream, service));
        tokio::spawn(async move {
            // That a client went away or was too slow is its own business.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    tracing::info!("finishing the requests in flight");
    if tokio::time::timeout(limits.shutdown_time.0, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests in flight were not finished in time");
    }
}

const MOST_BUFFERED: usize = 64 * 1024;
