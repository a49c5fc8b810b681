//! PostgreSQL.

use std::time::Duration;

use otp_grant::{Record, RecordKey, Store, Swap, Tag, Timestamp};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use crate::error::SqlStoreError;
use crate::options::SqlOptions;
use crate::row::{INSERT, LOAD, Row, Stored, UPDATE, decode, due};
use crate::statement::{close, once, read};

/// Keeps records in PostgreSQL 9.6 or later, one row each. A clone shares the connections.
///
/// Each operation is one statement. `READ COMMITTED` is enough.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    timeout: Duration,
}

impl PostgresStore {
    /// Keeps records through a pool that was made elsewhere. Its transactions have to be `READ COMMITTED` by default, and its
    /// server must be the primary.
    ///
    /// An operation then also waits at most as long as the pool's `acquire_timeout`. Its `max_connections` is used; the one of
    /// the options is not. The server goes on with a statement whose time is over, unless the pool's connections say
    /// otherwise (`statement_timeout`).
    pub fn new(pool: PgPool, options: SqlOptions) -> Self {
        Self { pool, timeout: options.timeout }
    }

    /// Connects to `postgres://[user[:password]@]host[:port]/database`.
    ///
    /// Each connection tells the server the time limit (`statement_timeout`) and the isolation level as options of its start,
    /// which some poolers refuse; make the pool yourself then, and use [`new`](Self::new).
    ///
    /// # Errors
    /// [`SqlStoreError`], when PostgreSQL is not there or refuses: then `connect` can be called again. When the URL can't be
    /// read: then it can't.
    pub async fn connect(url: &str, options: SqlOptions) -> Result<Self, SqlStoreError> {
        let limit = options.timeout.as_millis().clamp(1, 0x7fff_ffff);
        let server: PgConnectOptions = url.parse()?;
        let server = server
            .options([("statement_timeout", &*limit.to_string()), ("default_transaction_isolation", "read committed")])
            .disable_statement_logging();
        // A pool would try again until the time is over, and then only say that it is.
        let connecting = PgConnection::connect_with(&server);
        let first = timeout(options.timeout, connecting).await.map_err(|_| SqlStoreError::Timeout)??;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.timeout)
            // A question before each statement would double the round trips.
            .test_before_acquire(false)
            .before_acquire(|connection, connected| {
                Box::pin(async move {
                    if connected.idle_for < TRUSTED_FOR {
                        return Ok(true);
                    }
                    let answer = timeout(TRUSTED_FOR, connection.ping()).await;
                    answer.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|()| true)
                })
            })
            .connect_lazy_with(server);
        // What it says for its goodbye changes nothing.
        let _ = timeout(options.timeout, first.close()).await;
        Ok(Self::new(pool, options))
    }

    /// Creates the table, if it isn't there. Several hosts may do it at the same time.
    ///
    /// Where hosts may not create tables, run `migrations/postgres.sql` yourself; then this finds that nothing is to be done.
    ///
    /// # Errors
    /// [`SqlStoreError`], within some minutes; it can be called again.
    pub async fn migrate(&self) -> Result<(), SqlStoreError> {
        let mut connection = self.pool.acquire().await?;
        match timeout(MIGRATION_TIMEOUT, migrate(&mut connection)).await {
            Ok(migrated) => Ok(migrated?),
            Err(_) => {
                close(Some(connection));
                Err(SqlStoreError::Timeout)
            }
        }
    }

    /// Deletes at most `limit` records that may have been deleted for a minute, the oldest first, and tells how many they were.
    ///
    /// Call it now and then, for instance each minute until it deletes fewer than `limit`, with a limit of 1000. Several hosts
    /// may do it at the same time, each takes other rows. It never waits for a swap, nor deletes what a swap has renewed.
    ///
    /// # Errors
    /// [`SqlStoreError`]; it can be called again.
    pub async fn purge(&self, now: Timestamp, limit: u32) -> Result<u64, SqlStoreError> {
        let deleted = once(&self.pool, self.timeout, move |connection| {
            Box::pin(async move {
                sqlx::query(PURGE).bind(due(now)).bind(i64::from(limit)).execute(&mut **connection).await
            })
        });
        Ok(deleted.await?.rows_affected())
    }
}

impl Store for PostgresStore {
    type Error = SqlStoreError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, SqlStoreError> {
        let key = *key.as_bytes();
        let stored: Option<Stored> = read(&self.pool, self.timeout, move |connection| {
            Box::pin(async move { sqlx::query_as(LOAD).bind(&key[..]).fetch_optional(&mut **connection).await })
        })
        .await?;
        stored.as_ref().map(decode).transpose()
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, SqlStoreError> {
        let key = *key.as_bytes();
        let row = std::sync::Arc::new(Row::of(next)?);
        let written = once(&self.pool, self.timeout, move |connection| {
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

impl core::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PostgresStore").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

async fn migrate(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // Others may be about to create it.
    sqlx::query("SET LOCAL statement_timeout = '60s'").execute(&mut *transaction).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *transaction).await?;
    let (is_there,): (bool,) = sqlx::query_as(IS_MIGRATED).fetch_one(&mut *transaction).await?;
    if !is_there {
        sqlx::raw_sql(include_str!("../migrations/postgres.sql")).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// How long a connection is taken to be alive without being asked, and how long it may take to say that it is.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A server that works gives up before.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(150);

/// An arbitrary number, "otpgrant" in ASCII.
const MIGRATION_LOCK: i64 = 0x6f74_7067_7261_6e74;

const IS_MIGRATED: &str = "\
    SELECT to_regclass('otp_grant_records') IS NOT NULL AND to_regclass('otp_grant_records_delete_after') IS NOT NULL";

/// The array is computed once, or else a plan could lock more rows than `limit`. A row that was rewritten after the statement
/// began is compared as it is now.
const PURGE: &str = "\
    DELETE FROM otp_grant_records WHERE delete_after <= $1 AND key = ANY (ARRAY( \
        SELECT key FROM otp_grant_records WHERE delete_after <= $1 \
        ORDER BY delete_after LIMIT $2 FOR UPDATE SKIP LOCKED))";
