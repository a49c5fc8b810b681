//! The listener for Prometheus. It has one path.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE as TEXT_FORMAT;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::server::Process;

/// Serves the metrics, as long as the process runs.
pub(crate) async fn serve(listener: TcpListener, process: Arc<Process>) {
    let scrapes = Arc::new(Semaphore::new(SCRAPES));
    loop {
        let Ok(permit) = Arc::clone(&scrapes).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection for metrics can be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let process = Arc::clone(&process);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, &process);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).keep_alive(false);
            // A reader that is too slow or went away is no error of the host.
            let _ = timeout(PATIENCE, http.serve_connection(TokioIo::new(stream), service)).await;
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, process: &Process) -> Response<Body> {
    if request.uri().path() != "/metrics" {
        return StatusCode::NOT_FOUND.into_response();
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response();
    }
    ([(CONTENT_TYPE, TEXT_FORMAT), (CACHE_CONTROL, "no-store")], process.metrics.text(process)).into_response()
}

/// How many connections are served at once. Others wait.
const SCRAPES: usize = 4;
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection that says nothing keeps a scrape waiting no longer than this.
const HEADER_TIME: Duration = Duration::from_secs(1);
