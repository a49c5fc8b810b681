//! How long the parts of the host can take over a request (`limits.request_time`).

use std::future::Future;

use tokio::time::{Instant, timeout_at};

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Answers a request that has to be answered by an instant.
pub(crate) async fn until<T>(deadline: Instant, answering: impl Future<Output = T>) -> T {
    DEADLINE.scope(deadline, answering).await
}

/// Tells whether the request of this task had to be answered by now. Its client has got 503.
pub(crate) fn is_over() -> bool {
    DEADLINE.try_with(|deadline| *deadline <= Instant::now()).unwrap_or(false)
}

/// Waits for a part of the host, at most until the request of this task has to be answered. Then returns `None`.
///
/// The host waits for users in this way. It waits for a store as long as the store's own limit allows: after that
/// instant, the guess of the request is still given back.
pub(crate) async fn in_time<T>(asked: impl Future<Output = T>) -> Option<T> {
    match DEADLINE.try_with(|deadline| *deadline) {
        Ok(_) if is_over() => None,
        Ok(deadline) => timeout_at(deadline, asked).await.ok(),
        Err(_) => Some(asked.await),
    }
}
