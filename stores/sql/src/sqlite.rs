//! SQLite.

use std::time::Duration;

use otp_grant::{Record, RecordKey, Store, Swap, Tag, Timestamp};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{sleep, timeout};

use crate::error::SqlStoreError;
use crate::options::SqlOptions;
use crate::row::{INSERT, LOAD, Row, Stored, UPDATE, decode, due};
use crate::statement::{once, read};

/// Keeps records in a SQLite file, one row each. A clone shares the connections.
///
/// Several processes of one machine may use one file. Each operation is one statement.
#[derive(Clone)]
pub struct SqliteStore {
    /// One connection: writers of one process queue up here, instead of polling for SQLite's lock.
    writer: SqlitePool,
    readers: SqlitePool,
    timeout: Duration,
}

impl SqliteStore {
    /// Opens `sqlite:path/to/file`, or creates it.
    ///
    /// It is kept with a write-ahead log, and each commit is written through to the disk (`synchronous=FULL`).
    ///
    /// # Errors
    /// [`SqlStoreError`], when the file can't be opened, or is locked for longer than the timeout: then it can be called
    /// again. When the URL can't be read, or names a database in memory: then it can't.
    pub async fn connect(url: &str, options: SqlOptions) -> Result<Self, SqlStoreError> {
        let file: SqliteConnectOptions = url.parse()?;
        let file = file
            .create_if_missing(true)
            .busy_timeout(options.timeout)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let preparing = async {
            loop {
                match use_write_ahead_log(&file).await {
                    // SQLite does not wait for this lock: another process does the same.
                    Err(SqlStoreError::Timeout) => sleep(Duration::from_millis(20)).await,
                    answer => return answer,
                }
            }
        };
        timeout(options.timeout, preparing).await.map_err(|_| SqlStoreError::Timeout)??;
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(options.timeout)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                .connect_lazy_with(file.clone())
        };
        Ok(Self { writer: pool(1), readers: pool(options.max_connections), timeout: options.timeout })
    }

    /// Creates the table, if it isn't there. Several hosts may do it at the same time.
    ///
    /// # Errors
    /// [`SqlStoreError`]; it can be called again.
    pub async fn migrate(&self) -> Result<(), SqlStoreError> {
        once(&self.writer, self.timeout, |connection| {
            Box::pin(
                async move { sqlx::raw_sql(include_str!("../migrations/sqlite.sql")).execute(&mut **connection).await },
            )
        })
        .await?;
        Ok(())
    }

    /// Deletes at most `limit` records that may have been deleted for a minute, the oldest first, and tells how many they were.
    ///
    /// Call it now and then, for instance each minute until it deletes fewer than `limit`, with a limit of 1000: swaps wait
    /// meanwhile. Several hosts may do it at the same time. It never deletes what a swap has renewed.
    ///
    /// # Errors
    /// [`SqlStoreError`]; it can be called again.
    pub async fn purge(&self, now: Timestamp, limit: u32) -> Result<u64, SqlStoreError> {
        let deleted = once(&self.writer, self.timeout, move |connection| {
            Box::pin(async move {
                sqlx::query(PURGE).bind(due(now)).bind(i64::from(limit)).execute(&mut **connection).await
            })
        });
        Ok(deleted.await?.rows_affected())
    }
}

impl Store for SqliteStore {
    type Error = SqlStoreError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, SqlStoreError> {
        let key = *key.as_bytes();
        let stored: Option<Stored> = read(&self.readers, self.timeout, move |connection| {
            Box::pin(async move { sqlx::query_as(LOAD).bind(&key[..]).fetch_optional(&mut **connection).await })
        })
        .await?;
        stored.as_ref().map(decode).transpose()
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, SqlStoreError> {
        let key = *key.as_bytes();
        let row = std::sync::Arc::new(Row::of(next)?);
        let written = once(&self.writer, self.timeout, move |connection| {
            let row = row.clone();
            Box::pin(async move {
                let statement = sqlx::query(if expected.is_some() { UPDATE } else { INSERT })
                    .bind(&key[..])
                    .bind(&row.tag[..])
                    .bind(&*row.value)
                    .bind(row.delete_after);
                match &expected {
                    Some(tag) => statement.bind(&tag.as_bytes()[..]).execute(&mut **connection).await,
                    None => statement.execute(&mut **connection).await,
                }
            })
        });
        match written.await?.rows_affected() {
            1 => Ok(Swap::Stored),
            0 => Ok(Swap::Conflict),
            _ => Err(SqlStoreError::UnexpectedAnswer),
        }
    }
}

impl core::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SqliteStore").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// The file remembers it, so this is for the first connection only.
async fn use_write_ahead_log(file: &SqliteConnectOptions) -> Result<(), SqlStoreError> {
    let file = file.clone().journal_mode(SqliteJournalMode::Wal);
    let mut connection = SqliteConnection::connect_with(&file).await?;
    let (mode,): (String,) = sqlx::query_as("PRAGMA journal_mode").fetch_one(&mut connection).await?;
    connection.close().await?;
    if mode == "wal" { Ok(()) } else { Err(SqlStoreError::NoWriteAheadLog) }
}

const PURGE: &str = "\
    DELETE FROM otp_grant_records WHERE key IN ( \
        SELECT key FROM otp_grant_records WHERE delete_after <= $1 ORDER BY delete_after LIMIT $2)";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_is_on_the_disk_before_it_is_acknowledged() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("records.db").display());
        let store = SqliteStore::connect(&url, SqlOptions::default()).await.unwrap();
        let (mode,): (String,) = sqlx::query_as("PRAGMA journal_mode").fetch_one(&store.writer).await.unwrap();
        let (synchronous,): (i64,) = sqlx::query_as("PRAGMA synchronous").fetch_one(&store.writer).await.unwrap();
        let full = 2;
        assert_eq!((&*mode, synchronous), ("wal", full));
    }
}
