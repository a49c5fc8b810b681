//! The store in PostgreSQL.

mod database;
mod hosts;
#[cfg(feature = "tls")]
mod tls;
mod url;

use deadpool_postgres::Pool;
use deadpool_postgres::tokio_postgres::types::ToSql;
use otp_grant::Store;
use otp_grant::id::{RecordKey, Tag};
use otp_grant::store::{Record, Swap};
use otp_grant::time::Timestamp;

pub use database::{PoolUsage, PostgresDatabase};

use crate::durability::DurabilityRisk;
use crate::error::SqlStoreError;
use crate::options::SqlOptions;
use crate::row::{Row, decode, due};

/// Keeps records in PostgreSQL 9.6 or later, one row each. A clone shares the connections.
///
/// Each operation is one statement. `READ COMMITTED` is enough.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: PostgresDatabase,
}

impl PostgresStore {
    /// Keeps records through a pool that the host has made. Its transactions must be `READ COMMITTED` by default, and
    /// its server must be the primary.
    ///
    /// The time-outs of the pool also limit how long an operation waits. The `max_size` of the pool applies, and
    /// [`SqlOptions::max_connections`] does not. The server goes on with a statement whose time is over, unless the
    /// pool's connections set `statement_timeout`. Let the pool recycle with `RecyclingMethod::Fast`, because the other
    /// methods send a query before each statement.
    pub fn new(pool: Pool, options: SqlOptions) -> Self {
        Self::over(PostgresDatabase::new(pool, options))
    }

    /// Keeps records in a database that the host also uses for its own tables.
    pub fn over(database: PostgresDatabase) -> Self {
        Self { database }
    }

    /// Connects to `postgres://[user[:password]@]host[:port],…/database`, as [`PostgresDatabase::connect`] does.
    ///
    /// # Errors
    /// [`SqlStoreError`]:
    ///
    /// - when PostgreSQL is not there or refuses: `connect` can be called again;
    /// - when the URL can't be read: another call does not help.
    pub async fn connect(url: &str, options: SqlOptions) -> Result<Self, SqlStoreError> {
        Ok(Self::over(PostgresDatabase::connect(url, options).await?))
    }

    /// Returns the database that the records are in.
    pub fn database(&self) -> &PostgresDatabase {
        &self.database
    }

    /// Creates the table, if it does not exist. Several hosts can do this at the same time.
    ///
    /// Where hosts must not create tables, run `migrations/postgres.sql` yourself. This function then finds nothing to
    /// do.
    ///
    /// # Errors
    /// [`SqlStoreError`], within some minutes. It can be called again.
    pub async fn migrate(&self) -> Result<(), SqlStoreError> {
        self.database.migrate(IS_MIGRATED, include_str!("../../migrations/postgres.sql")).await
    }

    /// Asks the database for settings that can make it forget a record. [The crate's front page](crate#what-survives)
    /// says what must be set.
    ///
    /// Call it when a host starts, and log what it returns.
    ///
    /// # Errors
    /// [`SqlStoreError`]. It can be called again.
    pub async fn durability_risks(&self) -> Result<Vec<DurabilityRisk>, SqlStoreError> {
        self.database.durability_risks().await
    }

    /// Deletes at most `limit` records that could have been deleted a minute ago, the oldest first, and returns how
    /// many it deleted.
    ///
    /// Call it regularly, for instance each minute until it deletes fewer than `limit`, with a limit of 1000. Several
    /// hosts can do this at the same time, and each takes other rows. It never waits for a swap, and never deletes a
    /// record that a swap has renewed.
    ///
    /// # Errors
    /// [`SqlStoreError`]. It can be called again.
    pub async fn purge(&self, now: Timestamp, limit: u32) -> Result<u64, SqlStoreError> {
        self.database.execute(PURGE, &[&due(now), &i64::from(limit)]).await
    }
}

impl Store for PostgresStore {
    type Error = SqlStoreError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, SqlStoreError> {
        let Some(row) = self.database.find(LOAD, &[&&key.as_bytes()[..]]).await? else { return Ok(None) };
        let (Ok(tag), Ok(value)) = (row.try_get(0), row.try_get(1)) else { return Err(SqlStoreError::NotARecord) };
        decode(tag, value).map(Some)
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, SqlStoreError> {
        let row = Row::of(next)?;
        let (key, tag) = (&key.as_bytes()[..], &row.tag[..]);
        let written: [&(dyn ToSql + Sync); 4] = [&key, &tag, &row.value, &row.delete_after];
        let affected = match &expected {
            Some(expected) => {
                let [key, tag, value, delete_after] = written;
                self.database.execute(UPDATE, &[key, tag, value, delete_after, &&expected.as_bytes()[..]]).await?
            }
            None => self.database.execute(INSERT, &written).await?,
        };
        match affected {
            1 => Ok(Swap::Stored),
            0 => Ok(Swap::Conflict),
            _ => Err(SqlStoreError::UnexpectedAnswer),
        }
    }
}

const LOAD: &str = "SELECT tag, value FROM otp_grant_records WHERE key = $1";

const INSERT: &str = "\
    INSERT INTO otp_grant_records (key, tag, value, delete_after) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO NOTHING";

const UPDATE: &str = "\
    UPDATE otp_grant_records SET tag = $2, value = $3, delete_after = $4 WHERE key = $1 AND tag = $5";

const IS_MIGRATED: &str = "\
    SELECT to_regclass('otp_grant_records') IS NOT NULL AND to_regclass('otp_grant_records_delete_after') IS NOT NULL";

/// The array is computed once. Otherwise a plan could lock more rows than `limit`. A row that was rewritten after the
/// statement began is compared in its present state.
const PURGE: &str = "\
    DELETE FROM otp_grant_records WHERE delete_after <= $1 AND key = ANY (ARRAY( \
        SELECT key FROM otp_grant_records WHERE delete_after <= $1 \
        ORDER BY delete_after LIMIT $2 FOR UPDATE SKIP LOCKED))";
