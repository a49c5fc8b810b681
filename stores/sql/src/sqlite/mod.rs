//! The store in SQLite.

mod database;
mod file;
mod log;
mod writer;

use otp_grant::Store;
use otp_grant::id::{RecordKey, Tag};
use otp_grant::store::{Record, Swap};
use otp_grant::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

pub use database::SqliteDatabase;

use crate::durability::DurabilityRisk;
use crate::error::SqlStoreError;
use crate::options::SqlOptions;
use crate::row::{Row, decode, due};

/// Keeps records in a SQLite file, one row each. A clone shares the connections.
///
/// Several processes of one machine can use one file. Each operation is one statement. Swaps that wait for one another
/// are committed together.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: SqliteDatabase,
}

impl SqliteStore {
    /// Opens `sqlite:path/to/file`, or creates it.
    ///
    /// The file has a write-ahead log, and each commit is written through to the disk (`synchronous=FULL`).
    ///
    /// # Errors
    /// [`SqlStoreError`]:
    ///
    /// - when the file can't be opened or is locked for longer than the timeout: it can be called again;
    /// - when the URL can't be read or names a database in memory: another call does not help.
    pub async fn connect(url: &str, options: SqlOptions) -> Result<Self, SqlStoreError> {
        let database = SqliteDatabase::connect(url, options).await?;
        database.use_write_ahead_log().await?;
        Ok(Self { database })
    }

    /// Creates the table, if it does not exist. Several hosts can do this at the same time.
    ///
    /// # Errors
    /// [`SqlStoreError`]. It can be called again.
    pub async fn migrate(&self) -> Result<(), SqlStoreError> {
        self.database.migrate(&["otp_grant_records", "otp_grant_records_delete_after"], MIGRATION).await
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
    /// Call it regularly, for instance each minute until it deletes fewer than `limit`, with a limit of 1000. Swaps
    /// wait while it runs. Several hosts can do this at the same time. It never deletes a record that a swap has
    /// renewed.
    ///
    /// # Errors
    /// [`SqlStoreError`]. It can be called again.
    pub async fn purge(&self, now: Timestamp, limit: u32) -> Result<u64, SqlStoreError> {
        let deleted = move |connection: &Connection| connection.prepare_cached(PURGE)?.execute((due(now), limit));
        Ok(u64::try_from(self.database.write(deleted).await?).unwrap_or(u64::MAX))
    }
}

impl Store for SqliteStore {
    type Error = SqlStoreError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, SqlStoreError> {
        let key = *key.as_bytes();
        let load = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(LOAD)?;
            let row = |row: &rusqlite::Row<'_>| {
                let (tag, value) = (row.get_ref(0)?, row.get_ref(1)?);
                let (Ok(tag), Ok(value)) = (tag.as_bytes(), value.as_str()) else {
                    return Ok(Err(SqlStoreError::NotARecord));
                };
                Ok(decode(tag, value))
            };
            statement.query_row((&key[..],), row).optional()
        };
        self.database.read(load).await?.transpose()
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, SqlStoreError> {
        let (key, row) = (*key.as_bytes(), Row::of(next)?);
        let swap = move |connection: &Connection| {
            let (key, tag, value, delete_after) = (&key[..], &row.tag[..], &row.value, row.delete_after);
            match &expected {
                Some(expected) => {
                    let expected = &expected.as_bytes()[..];
                    connection.prepare_cached(UPDATE)?.execute((key, tag, value, delete_after, expected))
                }
                None => connection.prepare_cached(INSERT)?.execute((key, tag, value, delete_after)),
            }
        };
        match self.database.write(swap).await? {
            1 => Ok(Swap::Stored),
            0 => Ok(Swap::Conflict),
            _ => Err(SqlStoreError::UnexpectedAnswer),
        }
    }
}

const MIGRATION: &str = include_str!("../../migrations/sqlite.sql");

const LOAD: &str = "SELECT tag, value FROM otp_grant_records WHERE key = ?1";

const INSERT: &str = "\
    INSERT INTO otp_grant_records (key, tag, value, delete_after) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO NOTHING";

const UPDATE: &str = "\
    UPDATE otp_grant_records SET tag = ?2, value = ?3, delete_after = ?4 WHERE key = ?1 AND tag = ?5";

const PURGE: &str = "\
    DELETE FROM otp_grant_records WHERE key IN ( \
        SELECT key FROM otp_grant_records WHERE delete_after <= ?1 ORDER BY delete_after LIMIT ?2)";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_is_on_the_disk_before_it_is_acknowledged() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("records.db").display());
        let store = SqliteStore::connect(&url, SqlOptions::default()).await.unwrap();
        let settings = |connection: &Connection| {
            let mode: String = connection.query_row("PRAGMA journal_mode", (), |row| row.get(0))?;
            let synchronous: i64 = connection.query_row("PRAGMA synchronous", (), |row| row.get(0))?;
            Ok((mode, synchronous))
        };
        let full = 2;
        assert_eq!(store.database.write(settings).await.unwrap(), ("wal".to_owned(), full));
    }
}
