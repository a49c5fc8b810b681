//! One statement on a pool, in a limited time.

use core::pin::Pin;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};
use tokio::time::timeout;

use crate::error::SqlStoreError;

pub(crate) type Answer<'c, T> = Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'c>>;

/// Runs a statement that must not be run twice.
pub(crate) async fn once<DB, T, F>(pool: &Pool<DB>, limit: Duration, statement: F) -> Result<T, SqlStoreError>
where
    DB: Database,
    T: Send + 'static,
    F: for<'c> Fn(&'c mut PoolConnection<DB>) -> Answer<'c, T> + Send + Sync + 'static,
{
    in_time(pool, limit, 1, statement).await
}

/// Runs a statement that only reads. A connection that turns out to be lost is replaced: often nobody has heard before that
/// the server was restarted.
pub(crate) async fn read<DB, T, F>(pool: &Pool<DB>, limit: Duration, statement: F) -> Result<T, SqlStoreError>
where
    DB: Database,
    T: Send + 'static,
    F: for<'c> Fn(&'c mut PoolConnection<DB>) -> Answer<'c, T> + Send + Sync + 'static,
{
    in_time(pool, limit, 3, statement).await
}

/// The statement runs in a task of its own, so that a client that hangs up doesn't leave a connection behind in the middle
/// of an answer.
async fn in_time<DB, T, F>(pool: &Pool<DB>, limit: Duration, attempts: usize, statement: F) -> Result<T, SqlStoreError>
where
    DB: Database,
    T: Send + 'static,
    F: for<'c> Fn(&'c mut PoolConnection<DB>) -> Answer<'c, T> + Send + Sync + 'static,
{
    let pool = pool.clone();
    let task = tokio::spawn(async move {
        let mut held: Option<PoolConnection<DB>> = None;
        let answer = timeout(limit, async {
            let mut attempt = 1;
            loop {
                let connection = held.insert(pool.acquire().await?);
                match statement(connection).await {
                    Err(error) if attempt < attempts && is_loss(&error) => attempt += 1,
                    answer => return answer,
                }
                close(held.take());
            }
        });
        match answer.await {
            Ok(answer) => answer.map_err(SqlStoreError::from),
            Err(_) => {
                close(held);
                Err(SqlStoreError::Timeout)
            }
        }
    });
    task.await.unwrap_or(Err(SqlStoreError::Interrupted))
}

/// Closes the socket at once. To return the connection to the pool would wait for a peer that may be gone for good, and keep
/// its place meanwhile.
pub(crate) fn close<DB: Database>(connection: Option<PoolConnection<DB>>) {
    drop(connection.map(PoolConnection::detach));
}

fn is_loss(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // The server shuts down, has crashed, or starts.
        sqlx::Error::Database(refusal) => {
            matches!(refusal.code().as_deref(), Some("57P01" | "57P02" | "57P03"))
        }
        _ => false,
    }
}
