//! What orchestrators and balancers ask: whether the process lives, and whether it should get requests.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::routing::get;

use super::Host;

/// The routes of the health checks.
pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new().without_v07_checks().route(LIVE, get(live)).route(READY, get(ready)).route(HEALTH, get(ready))
}

/// Answers 200 as long as the process answers. It asks no database: a restart would not mend one.
async fn live() -> Answer {
    answer(StatusCode::OK, "ok\n")
}

/// Answers 200 while the host should get requests: the store and the table of users answer, and the host does not stop.
async fn ready(State(host): State<Arc<Host>>) -> Answer {
    if host.process.is_draining() {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "the host stops\n");
    }
    if let Err(error) = host.process.store.check().await {
        tracing::error!(%error, "the store does not answer");
        return answer(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n");
    }
    if let Err(error) = host.users.check().await {
        tracing::error!(%error, "the table of users does not answer");
        return answer(StatusCode::SERVICE_UNAVAILABLE, "the table of users does not answer\n");
    }
    answer(StatusCode::OK, "ok\n")
}

type Answer = (StatusCode, [(HeaderName, &'static str); 1], &'static str);

fn answer(status: StatusCode, text: &'static str) -> Answer {
    (status, [(CACHE_CONTROL, "no-store")], text)
}

/// The paths of the health checks.
pub(crate) const PATHS: [&str; 3] = [LIVE, READY, HEALTH];

const LIVE: &str = "/livez";
const READY: &str = "/readyz";
/// Another name of `/readyz`.
const HEALTH: &str = "/healthz";
