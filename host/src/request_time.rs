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

/// Waits for a part of the host, at most until the request of this task has to be answered. `None` if it took longer.
///
/// What asks for users waits in this way. A store is waited for in any case, for as long as its own limit allows: after
/// that instant, the guess of the request is still given back.
pub(crate) async fn in_time<T>(asked: impl Future<Output = T>) -> Option<T> {
    match DEADLINE.try_with(|deadline| *deadline) {
        Ok(deadline) => timeout_at(deadline, asked).await.ok(),
        Err(_) => Some(asked.await),
    }
}
